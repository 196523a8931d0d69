/* The files of web/ that the program holds, for C++ and assembler: FILE(stem, extension, content type). */
#define TERN_SCRIPT "text/javascript; charset=utf-8"
#define TERN_PAGE_FILES(FILE)                   \
  FILE(index, html, "text/html; charset=utf-8") \
  FILE(style, css, "text/css; charset=utf-8")   \
  FILE(icon, svg, "image/svg+xml")              \
  FILE(answer, js, TERN_SCRIPT)                 \
  FILE(api, js, TERN_SCRIPT)                    \
  FILE(canvas, js, TERN_SCRIPT)                 \
  FILE(chat, js, TERN_SCRIPT)                   \
  FILE(dom, js, TERN_SCRIPT)                    \
  FILE(facts, js, TERN_SCRIPT)                  \
  FILE(heat_map, js, TERN_SCRIPT)               \
  FILE(json_view, js, TERN_SCRIPT)              \
  FILE(line_plot, js, TERN_SCRIPT)              \
  FILE(live, js, TERN_SCRIPT)                   \
  FILE(main, js, TERN_SCRIPT)                   \
  FILE(markdown, js, TERN_SCRIPT)               \
  FILE(measure, js, TERN_SCRIPT)                \
  FILE(notice, js, TERN_SCRIPT)                 \
  FILE(numbers, js, TERN_SCRIPT)                \
  FILE(settings, js, TERN_SCRIPT)               \
  FILE(sse, js, TERN_SCRIPT)                    \
  FILE(theme, js, TERN_SCRIPT)
