# Of load/, http_transport.h and transport.h alone show Boost; nobody outside of the room includes them.
include(boost)
target_link_libraries(tern_measure PRIVATE tern::boost)
