/* The page's files as read-only data, each as it is and gzipped: tern_page_STEM and tern_page_STEM_gz, to their _end. */
#include "serve/page_files.h"

#define NAME(name) #name
#define DATA(symbol, name) .global symbol; symbol: .incbin name; .global symbol##_end; symbol##_end: ;
#define FILE(stem, extension, type) \
  DATA(tern_page_##stem, NAME(stem.extension)) DATA(tern_page_##stem##_gz, NAME(stem.extension.gz))

  .section .rodata
TERN_PAGE_FILES(FILE)
  .byte 0
  .section .note.GNU-stack,"",@progbits
