# The AVX-512 kernels once more, over emulated intrinsics, where SIMDe (libsimde-dev) is there. Not under sanitizers, which
# would compile them for minutes.
find_path(TERN_SIMDE_INCLUDE simde/x86/avx512.h)
set(tern_emulated_files ${CMAKE_SOURCE_DIR}/tests/kernels/emulated_avx512.cpp
                        ${CMAKE_SOURCE_DIR}/tests/kernels/emulated_avx512_bf16.cpp)
if(TERN_SIMDE_INCLUDE AND NOT TERN_SANITIZE AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  # SIMDe's functions shadow and leave unused what they like.
  set_source_files_properties(${tern_emulated_files} PROPERTIES COMPILE_OPTIONS
                              "-O1;-mavx2;-mfma;-mf16c;-Wno-shadow;-Wno-unused;-Wno-psabi")
  target_compile_definitions(test_kernels PRIVATE TERN_EMULATED_AVX512)
else()
  set_source_files_properties(${tern_emulated_files} PROPERTIES HEADER_FILE_ONLY ON)
endif()

# A function that the linker may merge with another file's copy, or code that runs before main, must not be in a file
# compiled for an instruction set that the machine may lack. (Sanitizers add symbols of their own.)
if(CMAKE_NM AND NOT TERN_SANITIZE AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  add_test(NAME kernels/isa_files_share_no_code
           COMMAND sh ${CMAKE_SOURCE_DIR}/tests/kernels/check_symbols.sh ${CMAKE_NM}
                   "$<FILTER:$<TARGET_OBJECTS:tern_kernels>,INCLUDE,/avx>")
endif()
