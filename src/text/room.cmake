find_package(PkgConfig REQUIRED)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
target_link_libraries(tern_text PRIVATE PkgConfig::PCRE2 PkgConfig::UTF8PROC nlohmann_json::nlohmann_json)
