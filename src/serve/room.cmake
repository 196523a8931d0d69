# No header of this room shows Boost to its users except connection.h, which only server.cpp includes.
include(boost)
target_link_libraries(tern_serve PUBLIC nlohmann_json::nlohmann_json PRIVATE tern::boost)
