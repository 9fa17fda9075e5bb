import CMQLockRabbitMQ
import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension AMQPConnection {
    static let defaultTimeout = Duration.seconds(10)

    /// Our capabilities beyond the library's own. Without the first two the broker does not notify us when a consumer's
    /// queue vanishes or publishers are blocked. With the third it says why a login fails instead of just closing.
    private static let capabilities: [String: FieldValue] = [
        "consumer_cancel_notify": true,
        "connection.blocked": true,
        "authentication_failure_close": true,
        "publisher_confirms": true,
        "basic.nack": true,
    ]

    /// Connects and logs in at the first host of the endpoint that accepts us. Blocks at most for the timeout (the one
    /// in the URI, if any). Each host gets a share of it, and each address a share of that.
    ///
    /// After a refusal by one host, for example of the password, the others are not tried.
    /// - Parameters:
    ///   - clientProperties: shown in the broker's list of connections (`product`, `version`, `connection_name`).
    ///   - attempt: aborts it from another thread.
    ///   - accepts: checks the connection after the login; a failure that it throws counts as the host's.
    static func open(
        _ endpoint: Endpoint, timeout: Duration = defaultTimeout, clientProperties: [String: String] = [:],
        attempt: ConnectionAttempt? = nil,
        accepts: (AMQPConnection) throws(ConnectionFailure) -> Void = { _ in }
    ) throws(ConnectionFailure) -> AMQPConnection {
        let attempt = if let attempt { attempt } else { try ConnectionAttempt() }
        let deadline = ContinuousClock.now.after(endpoint.connectionTimeout ?? timeout)
        let hosts = endpoint.hosts
        var failures: [ConnectionFailure] = []
        for (index, host) in hosts.enumerated() {
            do throws(ConnectionFailure) {
                let until = share(of: deadline, hosts.count - index)
                let connection = try openOne(endpoint.at(host), clientProperties, attempt, until: until)
                try connection.keep(if: accepts)
                guard !attempt.isCancelled else {
                    connection.close()
                    throw ConnectionAttempt.cancelled
                }
                return connection
            } catch {
                guard !error.isPermanent, !attempt.isCancelled else { throw error }
                failures.append(error)
            }
        }
        throw ConnectionFailure(ofAll: failures)
    }

    private func keep(
        if accepts: (AMQPConnection) throws(ConnectionFailure) -> Void
    ) throws(ConnectionFailure) {
        do throws(ConnectionFailure) {
            try accepts(self)
        } catch {
            close()
            throw error
        }
    }

    /// When the first of this many has used up its share of the time.
    private static func share(of deadline: ContinuousClock.Instant, _ count: Int) -> ContinuousClock.Instant {
        let now = ContinuousClock.now
        return now.after(max(.zero, now.duration(to: deadline)) / max(1, count))
    }

    private static func openOne(
        _ endpoint: Endpoint, _ clientProperties: [String: String], _ attempt: ConnectionAttempt,
        until deadline: ContinuousClock.Instant
    ) throws(ConnectionFailure) -> AMQPConnection {
        if endpoint.tls != nil { return try openTLS(endpoint, clientProperties, attempt, until: deadline) }
        let addresses = try attempt.addresses(of: endpoint.hosts[0], until: deadline)
        let race = AddressRace(addresses, of: endpoint, for: attempt)
        var refusal: ConnectionFailure?
        while true {
            let descriptor: Int32
            do throws(ConnectionFailure) {
                descriptor = try race.next(until: deadline)
            } catch {
                // A failure after the connect tells more than an address that does not accept.
                throw attempt.isCancelled ? error : refusal ?? error
            }
            do throws(ConnectionFailure) {
                return try logIn(
                    endpoint, clientProperties, attempt, until: share(of: deadline, race.left + 1)
                ) { (state) throws(ConnectionFailure) in
                    guard let socket = amqp_tcp_socket_new(state) else {
                        closeDescriptor(descriptor)
                        throw ConnectionFailure(.system("out of memory"))
                    }
                    amqp_tcp_socket_set_sockfd(socket, descriptor)
                }
            } catch {
                guard !error.isPermanent, !attempt.isCancelled else { throw error }
                refusal = error
            }
        }
    }

    /// The library has one name for connecting, SNI and verification. So it has to resolve the host itself, and tries
    /// the addresses in the system's order: a silent one uses up all of the time. But each host still gets its share.
    private static func openTLS(
        _ endpoint: Endpoint, _ clientProperties: [String: String], _ attempt: ConnectionAttempt,
        until deadline: ContinuousClock.Instant
    ) throws(ConnectionFailure) -> AMQPConnection {
        try logIn(endpoint, clientProperties, attempt, until: deadline) { (state) throws(ConnectionFailure) in
            guard let tls = endpoint.tls else { return }
            let socket = try tlsSocket(state, endpoint, tls)
            let timeout = max(.milliseconds(1), ContinuousClock.now.duration(to: deadline))
            var limit = timeval(timeout)
            let status = amqp_socket_open_noblock(socket, endpoint.host, Int32(endpoint.port), &limit)
            guard status < 0 else { return }
            try ConnectionFailure.checkDescriptors()
            throw ConnectionFailure(connecting: status, to: endpoint, within: timeout)
        }
    }

    /// - Parameter connect: gives the library's connection an open socket.
    private static func logIn(
        _ endpoint: Endpoint, _ clientProperties: [String: String], _ attempt: ConnectionAttempt,
        until deadline: ContinuousClock.Instant,
        _ connect: (amqp_connection_state_t) throws(ConnectionFailure) -> Void
    ) throws(ConnectionFailure) -> AMQPConnection {
        guard let state = amqp_new_connection() else { throw ConnectionFailure(.system("out of memory")) }
        do throws(ConnectionFailure) {
            try connect(state)
            let socket = try SocketHandle(duplicating: amqp_get_sockfd(state))
            try attempt.use(socket)
            defer { try? attempt.use(nil) }
            let timeout = max(.milliseconds(1), ContinuousClock.now.duration(to: deadline))
            var remaining = timeval(timeout)
            // The library copies the value.
            let status = amqp_set_handshake_timeout(state, &remaining)
            guard status >= 0 else { throw ConnectionFailure(library: status) }
            try logIn(state, endpoint, timeout, clientProperties)
            let properties = amqp_get_server_properties(state).map { FieldValue.decode($0.pointee) } ?? [:]
            return AMQPConnection(
                state: state, endpoint: endpoint, socket: socket, server: ServerProperties(table: properties))
        } catch {
            amqp_destroy_connection(state)
            throw attempt.isCancelled ? ConnectionAttempt.cancelled : error
        }
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
        default: throw ConnectionFailure(loggingIn: reply.library_error, to: endpoint, within: timeout)
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
}

extension timeval {
    /// At most 24 days: the library calculates with milliseconds of 32 bits.
    init(_ duration: Duration) {
        let (seconds, attoseconds) = min(max(.zero, duration), .milliseconds(Int32.max)).components
        self.init(tv_sec: .init(clamping: seconds), tv_usec: .init(attoseconds / 1_000_000_000_000))
    }
}
