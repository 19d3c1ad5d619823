# What `make install` puts where: the public headers, the libraries behind them, the commands; and the
# package that find_package(bulkhead) finds, with the one target bulkhead::bulkhead.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/bulkhead)
set(libraries bulkhead_base bulkhead_asio bulkhead_ipc bulkhead_workers bulkhead_pool)

# Every header that a user may include; tools/check_dead_files holds this list against the folder.
add_library(bulkhead_api INTERFACE)  # the name bulkhead is the command's
add_library(bulkhead::bulkhead ALIAS bulkhead_api)
target_sources(bulkhead_api INTERFACE FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/include FILES
  ${PROJECT_SOURCE_DIR}/include/bulkhead/async.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/channel.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/connection.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/deadline.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/detail/claim_ledger.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/detail/pool_stream.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/detail/pool_templates.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/detail/range_work.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/detail/rpc_templates.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/detail/spmd_collective.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/detail/spmd_run.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/detail/spmd_templates.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/detail/task_bodies.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/detail/task_body.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/detail/task_function.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/error.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/future.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/future_async.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/loan.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/message.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/pool.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/pool_options.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/scheduling.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/queue.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/rpc.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/sealed.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/shared_array.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/spmd.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/structure.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/topic.hpp
  ${PROJECT_SOURCE_DIR}/include/bulkhead/worker.hpp)
target_link_libraries(bulkhead_api INTERFACE ${libraries})
# Builds one translation unit a header: each must stand alone. Part of the test install.headers.
set_target_properties(bulkhead_api PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON EXPORT_NAME bulkhead)

install(TARGETS bulkhead_api ${libraries} EXPORT bulkhead
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT bulkhead NAMESPACE bulkhead:: FILE bulkheadTargets.cmake DESTINATION ${package_dir})

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/bulkheadConfig.cmake.in
  ${PROJECT_BINARY_DIR}/bulkheadConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/bulkheadConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)  # before 1.0 a minor version may break what came before
install(FILES ${PROJECT_BINARY_DIR}/bulkheadConfig.cmake ${PROJECT_BINARY_DIR}/bulkheadConfigVersion.cmake
  DESTINATION ${package_dir})

get_property(programs GLOBAL PROPERTY BULKHEAD_PROGRAMS)
add_dependencies(programs ${programs})
install(TARGETS ${programs} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY configs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/bulkhead/configs)
