# tern::boost: Boost.Asio and Boost.Beast, compiled once, in boost_impl.cpp; each other file that includes them then costs two
# seconds instead of sixteen. A room that speaks to sockets links it PRIVATE.
include_guard(GLOBAL)
find_package(Boost 1.81 REQUIRED)
add_library(tern_boost STATIC ${CMAKE_CURRENT_LIST_DIR}/boost_impl.cpp)
target_link_libraries(tern_boost PUBLIC Boost::headers Threads::Threads)
target_compile_definitions(tern_boost PUBLIC BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
                           BOOST_ASIO_NO_DEPRECATED)
target_compile_options(tern_boost PRIVATE -w)
add_library(tern::boost ALIAS tern_boost)
