# The random models that the model's own tests make; a server of tern's for the load generator to measure.
target_sources(test_measure PRIVATE
  ${CMAKE_SOURCE_DIR}/tests/model/tiny_file.cpp
  ${CMAKE_SOURCE_DIR}/tests/model/tiny_checkpoint.cpp
  ${CMAKE_SOURCE_DIR}/tests/serve/fixture.cpp
  ${CMAKE_SOURCE_DIR}/tests/serve/grpc_fixture.cpp)
target_link_libraries(test_measure PRIVATE tern::serve)
