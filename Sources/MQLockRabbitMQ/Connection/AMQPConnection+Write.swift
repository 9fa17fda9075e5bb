import CMQLockRabbitMQ
import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// How requests are written.
extension AMQPConnection {
    /// Writes one method frame.
    func send<Method: BitwiseCopyable>(
        _ id: amqp_method_number_t, _ method: Method, on channel: UInt16
    ) throws(ConnectionFailure) {
        let state = try live()
        try makeRoom()
        framesThatFit -= 1
        var method = method
        let status = withUnsafeMutablePointer(to: &method) { amqp_send_method(state, channel, id, $0) }
        arena.reset()
        guard status < 0 else { return }
        switch amqp_status_enum(rawValue: status) {
        case AMQP_STATUS_TABLE_TOO_BIG, AMQP_STATUS_BAD_AMQP_DATA:
            // The encoder refused it: nothing has been written.
            throw ConnectionFailure(.configuration("the arguments do not fit one frame of \(frameMax) bytes"))
        default: throw fail(ConnectionFailure(library: status))
        }
    }

    /// Whether a method fits the socket's buffer. The kernel is not asked before each: where it says yes, there is room for
    /// 2 kB at least (on Linux a third of the buffer), and only what we write takes that up.
    var hasRoom: Bool {
        if framesThatFit == 0, isWritable(within: .zero) { framesThatFit = Self.framesPerCheck }
        return framesThatFit > 0
    }

    /// The longest method has a queue's name twice, and less than 600 bytes.
    private static let framesPerCheck = 3

    /// Waits until the socket accepts data, and corks it if a batch has started.
    func makeRoom() throws(ConnectionFailure) {
        guard hasRoom || isWritable(within: writeTimeout) else {
            throw fail(
                ConnectionFailure(
                    .timedOut("the broker has read nothing for \(writeTimeout), as under a memory or disk alarm")))
        }
        framesThatFit = max(1, framesThatFit)
        if isBatching, !isCorked {
            isCorked = true
            setCork(true)
        }
    }

    /// An error counts as writable: the write will report it.
    func isWritable(within timeout: Duration) -> Bool {
        let deadline = ContinuousClock.now.after(timeout)
        var descriptor = pollfd(fd: socket.descriptor, events: Int16(POLLOUT), revents: 0)
        while true {
            let remaining = timeout == .zero ? .zero : max(.zero, ContinuousClock.now.duration(to: deadline))
            let milliseconds = Int32(clamping: Int64((remaining / .milliseconds(1)).rounded(.up)))
            let count = poll(&descriptor, 1, milliseconds)
            if count >= 0 || errno != EINTR { return count != 0 }
        }
    }

    // MARK: Batches

    /// From now on writes are held back until `flush`, so they leave in as few packets as possible. The loop calls this
    /// once, and then `flush` after every turn.
    func beginBatch() {
        isBatching = true
    }

    /// Sends what was written since the last flush; costs only a check if there is nothing.
    func flush() {
        guard isCorked else { return }
        isCorked = false
        if state != nil { setCork(false) }
    }

    /// Linux holds back partial segments while the socket is corked (at most 200 ms) and sends them when it is
    /// uncorked, whatever TCP_NODELAY says. Without corking, frames leave one by one, which is also correct.
    private func setCork(_ on: Bool) {
        #if os(Linux)
        var value: Int32 = on ? 1 : 0
        _ = setsockopt(
            socket.descriptor, Int32(IPPROTO_TCP), TCP_CORK, &value, socklen_t(MemoryLayout<Int32>.size))
        #endif
    }

    // MARK: Arguments

    func checkChannel(_ channel: UInt16) throws(ConnectionFailure) {
        guard channel >= 1, channel <= channelMax else {
            throw ConnectionFailure(.configuration("no channel \(channel): the broker allows 1 to \(channelMax)"))
        }
    }

    /// A short string of the protocol. The library would truncate the length and send a broken frame.
    func short(_ text: String) throws(ConnectionFailure) -> amqp_bytes_t {
        guard text.utf8.count <= 255 else {
            arena.reset()
            throw ConnectionFailure(
                .configuration("longer than the 255 bytes that AMQP allows: \(text.prefix(40))..."))
        }
        return arena.bytes(text)
    }

    func table(_ table: [String: FieldValue]) throws(ConnectionFailure) -> amqp_table_t {
        for key in table.keys { _ = try short(key) }
        return FieldValue.encode(table, in: arena)
    }
}

extension Bool {
    var amqp: amqp_boolean_t { self ? 1 : 0 }
}
