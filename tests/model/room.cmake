# Its operator new is counted.
target_sources(test_model PRIVATE ${CMAKE_SOURCE_DIR}/tests/allocations.cpp)
