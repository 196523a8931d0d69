# The random models that the model's own tests make.
target_sources(test_measure PRIVATE
  ${CMAKE_SOURCE_DIR}/tests/model/tiny_file.cpp
  ${CMAKE_SOURCE_DIR}/tests/model/tiny_checkpoint.cpp)
