# Writes OUT with the version and the commit of SOURCE, only where that changes it.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND git -c safe.directory=* -C ${SOURCE} rev-parse --short=10 HEAD
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(commit "unknown")
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#pragma once
#define TERN_VERSION \"${VERSION}\"
#define TERN_COMMIT \"${commit}\"
" @ONLY)
