# Boost's own code is compiled once, in boost_impl.cpp; each other file then costs two seconds instead of sixteen.
# No header of this room shows Boost to its users except connection.h, which only server.cpp includes.
find_package(Boost 1.81 REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)  # SHA-256 and constant-time compare of API keys
target_link_libraries(tern_serve PUBLIC nlohmann_json::nlohmann_json PRIVATE Boost::headers OpenSSL::Crypto)
target_compile_definitions(tern_serve PRIVATE BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
                           BOOST_ASIO_NO_DEPRECATED)
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/serve/boost_impl.cpp PROPERTIES COMPILE_OPTIONS -w)
