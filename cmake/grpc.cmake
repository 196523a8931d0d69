# tern::proto: the messages and stubs of proto/tern/v1/tern.proto, with gRPC and protobuf behind them.
#
# Both are linked statically: as shared libraries they are sixty, and loading them took 20 ms of every start of tern,
# whatever it was asked for; so it is 2 ms. TLS is the proxy's, so the smaller library without it serves.
set(Protobuf_USE_STATIC_LIBS ON)
find_package(Protobuf REQUIRED)
find_package(ZLIB REQUIRED)
find_program(grpc_cpp_plugin grpc_cpp_plugin REQUIRED)

set(grpc_archives ${Protobuf_LIBRARIES})
foreach(name grpc++_reflection grpc++_unsecure grpc_unsecure gpr address_sorting upb cares re2)
  find_library(archive_${name} lib${name}.a REQUIRED)
  list(APPEND grpc_archives ${archive_${name}})
endforeach()
# Abseil is many small libraries that gRPC uses across; those for flags and logging to files have parts it doesn't.
get_filename_component(archives ${archive_gpr} DIRECTORY)
file(GLOB absl_archives ${archives}/libabsl_*.a)
list(FILTER absl_archives EXCLUDE REGEX "flags|failure|scoped_set_env")
list(APPEND grpc_archives ${absl_archives})

set(proto_folder ${CMAKE_BINARY_DIR}/generated)
set(proto_base ${proto_folder}/tern/v1/tern)
set(proto_sources ${proto_base}.pb.cc ${proto_base}.grpc.pb.cc)
add_custom_command(
  OUTPUT ${proto_sources} ${proto_base}.pb.h ${proto_base}.grpc.pb.h
  COMMAND ${CMAKE_COMMAND} -E make_directory ${proto_folder}
  COMMAND protobuf::protoc --proto_path=${CMAKE_SOURCE_DIR}/proto --cpp_out=${proto_folder} --grpc_out=${proto_folder}
          --plugin=protoc-gen-grpc=${grpc_cpp_plugin} tern/v1/tern.proto
  DEPENDS ${CMAKE_SOURCE_DIR}/proto/tern/v1/tern.proto)

add_library(tern_proto STATIC ${proto_sources})
target_compile_options(tern_proto PRIVATE -w)
target_include_directories(tern_proto SYSTEM PUBLIC ${proto_folder})
target_link_libraries(tern_proto PUBLIC "$<LINK_GROUP:RESCAN,${grpc_archives}>" ZLIB::ZLIB Threads::Threads ${CMAKE_DL_LIBS})
add_library(tern::proto ALIAS tern_proto)
