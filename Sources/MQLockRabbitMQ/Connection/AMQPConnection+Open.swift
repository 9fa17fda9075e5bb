import CRabbitMQ
import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension AMQPConnection {
    static let defaultTimeout = Duration.seconds(10)

    /// What we understand beyond the library's own. Without the first two the broker keeps silent when a consumer's
    /// queue vanishes or publishers are blocked; the third has it say why a login fails, not just close.
    private static let capabilities: [String: FieldValue] = [
        "consumer_cancel_notify": true,
        "connection.blocked": true,
        "authentication_failure_close": true,
        "publisher_confirms": true,
        "basic.nack": true,
    ]

    /// Connects and logs in. Blocks for at most the timeout (the URI's, if it has one), plus what the resolver takes to
    /// look the host up.
    ///
    /// `clientProperties` are shown in the broker's list of connections: `product`, `version`, `connection_name`.
    static func open(
        _ endpoint: Endpoint, timeout: Duration = defaultTimeout, clientProperties: [String: String] = [:]
    ) throws(ConnectionFailure) -> AMQPConnection {
        let timeout = endpoint.connectionTimeout ?? timeout
        let deadline = ContinuousClock.now.after(timeout)
        guard let state = amqp_new_connection() else { throw ConnectionFailure(.system("out of memory")) }
        do {
            try connect(state, endpoint, timeout)
            var remaining = timeval(max(.milliseconds(1), ContinuousClock.now.duration(to: deadline)))
            // The library copies the value.
            try check(amqp_set_handshake_timeout(state, &remaining), endpoint, timeout)
            try logIn(state, endpoint, timeout, clientProperties)
            let socket = try SocketHandle(duplicating: amqp_get_sockfd(state))
            let properties = amqp_get_server_properties(state).map { FieldValue.decode($0.pointee) } ?? [:]
            return AMQPConnection(
                state: state, endpoint: endpoint, socket: socket, server: ServerProperties(table: properties))
        } catch {
            amqp_destroy_connection(state)
            throw error
        }
    }

    private static func connect(
        _ state: amqp_connection_state_t, _ endpoint: Endpoint, _ timeout: Duration
    ) throws(ConnectionFailure) {
        let socket: OpaquePointer
        if let tls = endpoint.tls {
            socket = try tlsSocket(state, endpoint, tls)
        } else {
            guard let plain = amqp_tcp_socket_new(state) else { throw ConnectionFailure(.system("out of memory")) }
            socket = plain
        }
        var limit = timeval(timeout)
        let status = amqp_socket_open_noblock(socket, endpoint.host, Int32(endpoint.port), &limit)
        try check(status, endpoint, timeout)
    }

    private static func logIn(
        _ state: amqp_connection_state_t, _ endpoint: Endpoint, _ timeout: Duration,
        _ clientProperties: [String: String]
    ) throws(ConnectionFailure) {
        let arena = Arena()
        var table = clientProperties.mapValues(FieldValue.string)
        table["capabilities"] = .table(capabilities)
        var properties = FieldValue.encode(table, in: arena)
        let channelMax = Int32(endpoint.channelMax)
        let frameMax = Int32(endpoint.frameMax)
        let heartbeat = Int32(endpoint.heartbeat)
        let reply =
            switch endpoint.mechanism {
            case .plain:
                mqlock_amqp_login_plain(
                    state, endpoint.vhost, channelMax, frameMax, heartbeat, &properties, endpoint.user,
                    endpoint.password)
            case .external:
                mqlock_amqp_login_external(
                    state, endpoint.vhost, channelMax, frameMax, heartbeat, &properties, endpoint.user)
            }
        switch reply.reply_type {
        case AMQP_RESPONSE_NORMAL: return
        case AMQP_RESPONSE_SERVER_EXCEPTION: throw refusal(state, reply.reply, endpoint)
        default: try checkLogin(reply.library_error, endpoint, timeout)
        }
    }

    /// The broker answered the login with connection.close.
    private static func refusal(
        _ state: amqp_connection_state_t, _ method: amqp_method_t, _ endpoint: Endpoint
    ) -> ConnectionFailure {
        guard method.id == AMQP_CONNECTION_CLOSE_METHOD, let decoded = method.decoded else {
            return ConnectionFailure(.protocolMismatch("unexpected answer to the login"))
        }
        let close = decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
        let failure = ConnectionFailure(
            loginRefusedWith: close.reply_code, text: String(close.reply_text), by: endpoint)
        var answer = amqp_connection_close_ok_t()
        _ = amqp_send_method(state, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &answer)
        return failure
    }

    private static func check(
        _ status: Int32, _ endpoint: Endpoint, _ timeout: Duration
    ) throws(ConnectionFailure) {
        guard status < 0 else { return }
        throw ConnectionFailure(connecting: status, to: endpoint, within: timeout)
    }

    private static func checkLogin(
        _ status: Int32, _ endpoint: Endpoint, _ timeout: Duration
    ) throws(ConnectionFailure) {
        throw ConnectionFailure(loggingIn: status, to: endpoint, within: timeout)
    }
}

extension timeval {
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.bounded.components
        self.init(tv_sec: .init(clamping: seconds), tv_usec: .init(attoseconds / 1_000_000_000_000))
    }
}
