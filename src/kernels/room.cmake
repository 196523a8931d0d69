# Each instruction set's files get its flags and nothing else does. -O3 unrolls the tiles' constant loops whole, and
# those of packing.
set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/pack_blocks.cpp PROPERTIES COMPILE_OPTIONS -O3)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(tern_avx2_flags -O3 -mavx2 -mfma -mf16c)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Left to itself GCC puts the integer sums off until all products are there, which then don't fit the registers.
    list(APPEND tern_avx2_flags -fno-tree-ter -fno-tree-reassoc)
  endif()
  # Sanitizers make these unrolled files minutes of work: address checks stay; the scalar ones, whose bits theirs are, have
  # them all.
  if(TERN_SANITIZE)
    list(APPEND tern_avx2_flags -O1 -fno-sanitize=undefined)
  endif()
  set(tern_avx512_flags ${tern_avx2_flags} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
                        -mprefer-vector-width=512)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Its own intrinsics pass registers whose content doesn't matter (GCC bug 105593).
    list(APPEND tern_avx512_flags -Wno-uninitialized -Wno-maybe-uninitialized)
  endif()
  set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/avx2/avx2.cpp PROPERTIES
                              COMPILE_OPTIONS "${tern_avx2_flags}")
  set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/avx512/avx512.cpp PROPERTIES
                              COMPILE_OPTIONS "${tern_avx512_flags}")
  set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/avx512/avx512_bf16.cpp PROPERTIES
                              COMPILE_OPTIONS "${tern_avx512_flags};-mavx512bf16")
else()
  file(GLOB tern_x86_sources ${CMAKE_CURRENT_LIST_DIR}/avx2/*.cpp ${CMAKE_CURRENT_LIST_DIR}/avx512/*.cpp)
  set_source_files_properties(${tern_x86_sources} PROPERTIES HEADER_FILE_ONLY ON)
endif()
