# types of limits.py
# Made from the option table by csrc/make_limits.py: change src/hypercorn/config/options/ and run that.

cdef class Limits:
    cdef readonly double body_timeout
    cdef readonly long long client_connection_burst
    cdef readonly long long client_connection_rate
    cdef readonly long long client_connections
    cdef readonly long long client_prefix_ipv4
    cdef readonly long long client_prefix_ipv6
    cdef readonly long long client_request_burst
    cdef readonly long long client_request_rate
    cdef readonly long long client_table_size
    cdef readonly long long h2_connection_window
    cdef readonly long long h2_max_concurrent_streams
    cdef readonly long long h2_max_header_list_size
    cdef readonly long long h2_max_inbound_frame_size
    cdef readonly long long h2_max_resets
    cdef readonly long long h2_max_stream_window
    cdef readonly double h2_ping_interval
    cdef readonly double h2_ping_timeout
    cdef readonly long long h2_stream_window
    cdef readonly double header_timeout
    cdef readonly double idle_grace
    cdef readonly long long keep_alive_max_requests
    cdef readonly double keep_alive_timeout
    cdef readonly long long limit_concurrency
    cdef readonly long long limit_connections
    cdef readonly double linger_timeout
    cdef readonly long long max_app_queue_size
    cdef readonly long long max_body_size
    cdef readonly long long max_header_count
    cdef readonly long long max_header_size
    cdef readonly long long max_request_line_size
    cdef readonly long long max_unread_body
    cdef readonly double min_rate_grace
    cdef readonly long long min_receive_rate
    cdef readonly long long min_send_rate
    cdef readonly double quic_idle_timeout
    cdef readonly long long quic_max_connections
    cdef readonly long long quic_max_datagram_size
    cdef readonly long long quic_retry_threshold
    cdef readonly double shed_delay
    cdef readonly double shutdown_timeout
    cdef readonly double slow_callback
    cdef readonly double slow_request
    cdef readonly double ssl_handshake_timeout
    cdef readonly double startup_timeout
    cdef readonly double websocket_close_timeout
    cdef readonly double websocket_handshake_timeout
    cdef readonly double websocket_idle_timeout
    cdef readonly double websocket_lifetime
    cdef readonly long long websocket_max_frame_size
    cdef readonly long long websocket_max_message_size
    cdef readonly long long websocket_max_queue
    cdef readonly double websocket_ping_interval
    cdef readonly double websocket_ping_timeout
    cdef readonly long long write_buffer_size
    cdef readonly double write_timeout
    cdef readonly long long wsgi_buffer_size
    cdef readonly long long wsgi_max_body_size
    cdef readonly long long wsgi_queue_size
    cdef readonly double wsgi_queue_timeout
    cdef readonly long long wsgi_spool_size
    cdef readonly long long wsgi_threads
