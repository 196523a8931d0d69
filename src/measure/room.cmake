# Of load/, only transport.h, url.h and the transports' headers show Boost or gRPC; nobody outside of the room includes
# them.
include(boost)
target_link_libraries(tern_measure PRIVATE tern::boost tern::proto)
