# No header of this room shows Boost to its users except connection.h, which only server.cpp includes.
include(boost)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)  # SHA-256 and constant-time compare of API keys
target_link_libraries(tern_serve PUBLIC nlohmann_json::nlohmann_json PRIVATE tern::boost OpenSSL::Crypto)

# The page: web/ as it is and gzipped (-n: the same bytes each time), both taken in by page.S.
find_program(TERN_GZIP gzip REQUIRED)
file(GLOB page_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/web/*)
set(page_folder ${CMAKE_BINARY_DIR}/generated/page)
file(MAKE_DIRECTORY ${page_folder})
set(page_gzipped)
foreach(file IN LISTS page_files)
  get_filename_component(name ${file} NAME)
  add_custom_command(OUTPUT ${page_folder}/${name}.gz DEPENDS ${file} VERBATIM
    COMMAND sh -c "exec \"$0\" -9nc <\"$1\" >\"$2\"" ${TERN_GZIP} ${file} ${page_folder}/${name}.gz)
  list(APPEND page_gzipped ${page_folder}/${name}.gz)
endforeach()
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/serve/page.S PROPERTIES
  INCLUDE_DIRECTORIES "${CMAKE_SOURCE_DIR}/web;${page_folder}" OBJECT_DEPENDS "${page_files};${page_gzipped}")
