"""Names that nothing in Python code calls, and why they are there: read by vulture, never run."""
# ruff: noqa: B018, F821

# Called or read by event loops, by io, by ssl, by logging, by argparse.
_.connection_made
_.datagram_received
_.error_received
_.get_loop
_.readall
_.readinto
_.remove_done_callback
_._asyncio_future_blocking
_.formatter_class
stack_info
_.showwarning
_.optionxform

# Called by aioquic, whose class is derived from.
_.quic_event_received
_._close_at
_._local_initial_source_connection_id
_._local_max_stream_data_uni
_._max_early_data
_._replenish_connection_ids
_._request_client_certificate
_._write_connection_limits
_._write_stream_limits
_.certificate_private_key
_.in_flight
_._logger
_._send_probe
_.alpn_cb
_.quic_logger
is_client
_.new_session_ticket_cb
_.get_session_ticket_cb
_.update_traffic_key_cb

# Called by the import system, by inspect, by PyInstaller, by a hook's own process.
H3_GENERAL_PROTOCOL_ERROR  # one of a row of numbers
_.has_location
_.create_module
_.cr_state
get_hook_dirs
hiddenimports
call_function

# A FastAPI application of the benchmarks: fields of its model, a route.
_.tags
_.price
tags
price
sync_item

# Only in the table of old names.
FrameTooLargeError

# Found by name: worker classes, applications that tests serve, Django's.
asyncio_worker
uvloop_worker
trio_worker
failing_shutdown
loop_name
not_an_app
urlpatterns
depends

# Read through the shared memory of counters, by the compiled twins, or by clients that tests use.
_.bytes_received
_.bytes_sent
_.http1_requests
_.http2_requests
_.http3_requests
_.requests_aborted
_.requests_ended
_.requests_started
_.websocket_requests
_.header_table_size
_.max_allowed_table_size
_.private_key
_.trust_env
_._check_content_length
_.congestion_control_algorithm
_.max_datagram_size
_.sent_time

# Tables of a wire format, whole.
CONNECT_ERROR
H3_CONNECT_ERROR
HTTP_1_1_REQUIRED
INADEQUATE_SECURITY
SETTING

# For people: screenshots of pages.
_.screenshot

# Run by a worker that was spawned, or by a process of its own; named on the command line.
spawned
answer_for
spot_notice

# A key of what `hypercorn ctl status` prints.
uptime

# Called by wsproto.
_.frame_inbound_header

# Looked for by Django.
HypercornConfig
app_configs
_.inner_run
_.requires_system_checks
_.run_from_argv
_.verbose_name
