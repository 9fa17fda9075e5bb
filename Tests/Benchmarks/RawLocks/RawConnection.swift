import CMQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A connection of librabbitmq. It blocks, and it gives up at whatever it does not expect.
final class RawConnection {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let state: amqp_connection_state_t
    /// What the broker calls the major version; the newest there is when it hides it.
    let majorVersion: Int

    /// - Parameter uri: without TLS; a query is ignored.
    init(uri: String) throws {
        var text = Array(String(uri.prefix { $0 != "?" }).utf8CString)
        var info = amqp_connection_info()
        amqp_default_connection_info(&info)
        guard amqp_parse_url(&text, &info) == 0, info.ssl == 0, let connection = amqp_new_connection(),
            let socket = amqp_tcp_socket_new(connection)
        else { throw Failure(description: "the broker's URI is not for plain librabbitmq") }
        state = connection
        guard amqp_socket_open(socket, info.host, info.port) == 0 else {
            throw Failure(description: "nothing listens at the broker's address")
        }
        var none = amqp_empty_table
        let vhost = info.vhost.map { String(cString: $0) } ?? "/"
        let reply = mqlock_amqp_login_plain(
            connection, vhost.isEmpty ? "/" : vhost, 0, 131_072, 0, &none, info.user, info.password)
        majorVersion = Self.majorVersion(amqp_get_server_properties(connection)?.pointee)
        try check(reply, "login")
    }

    deinit {
        amqp_connection_close(state, AMQP_REPLY_SUCCESS)
        amqp_destroy_connection(state)
    }

    /// Writes one method frame and waits for nothing.
    func send<Method: BitwiseCopyable>(_ id: amqp_method_number_t, _ method: Method, on channel: UInt16) throws {
        var method = method
        let status = withUnsafeMutablePointer(to: &method) { amqp_send_method(state, channel, id, $0) }
        guard status >= 0 else { throw Failure(description: String(cString: amqp_error_string2(status))) }
    }

    /// Holds what is written back until it is over, so that it leaves in one packet, as MQLock's does.
    func together(_ body: () throws -> Void) rethrows {
        cork(1)
        defer { cork(0) }
        try body()
    }

    private func cork(_ value: Int32) {
        #if os(Linux)
        var value = value
        let size = socklen_t(MemoryLayout<Int32>.size)
        setsockopt(amqp_get_sockfd(state), Int32(IPPROTO_TCP), TCP_CORK, &value, size)
        #endif
    }

    /// Those that were closed, and the close confirmed.
    var freeChannels: [UInt16] = []
    var lastChannel: UInt16 = 0
    /// The returns of a message whose body is still to come, by channel.
    var returns: [UInt16: UInt64] = [:]

    /// The next frame, whatever its channel. What it points to lives until the next call.
    func nextFrame() throws -> amqp_frame_t {
        amqp_maybe_release_buffers(state)
        var frame = amqp_frame_t()
        let status = amqp_simple_wait_frame(state, &frame)
        guard status >= 0 else { throw Failure(description: String(cString: amqp_error_string2(status))) }
        return frame
    }

    /// Makes a durable queue of this kind with a token in it. It expires a fortnight after its last use, should nobody
    /// delete it.
    func make(_ queue: RawText, _ kind: RawQueueKind) throws {
        let channel = Self.makingChannel
        amqp_channel_open(state, channel)
        amqp_confirm_select(state, channel)
        try check(amqp_get_rpc_reply(state), "channel")
        kind.withArguments(majorVersion) { arguments in
            _ = amqp_queue_declare(state, channel, queue.bytes, 0, 1, 0, 0, arguments)
        }
        try check(amqp_get_rpc_reply(state), "declare")
        try publish("mqlock.v1 raw 1000000000000000 00112233445566778899aabbccddeeff", to: queue, on: channel)
        while true {
            if case .confirmed = try nextEvent().event { return }
        }
    }

    /// Publishes a persistent message with the properties that MQLock's have.
    private func publish(_ body: String, to queue: RawText, on channel: UInt16) throws {
        var properties = amqp_basic_properties_t()
        let flags =
            AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG
            | AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_APP_ID_FLAG
        properties._flags = amqp_flags_t(flags)
        properties.content_type = Self.contentType.bytes
        properties.delivery_mode = 2
        properties.message_id = Self.nonce.bytes
        properties.type = Self.type.bytes
        properties.app_id = Self.type.bytes
        var text = body
        let status = text.withUTF8 { body in
            let bytes = amqp_bytes_t(len: body.count, bytes: UnsafeMutableRawPointer(mutating: body.baseAddress))
            return amqp_basic_publish(state, channel, amqp_empty_bytes, queue.bytes, 1, 0, &properties, bytes)
        }
        guard status >= 0 else { throw Failure(description: String(cString: amqp_error_string2(status))) }
    }

    func check(_ reply: amqp_rpc_reply_t, _ what: String) throws {
        guard reply.reply_type == AMQP_RESPONSE_NORMAL else {
            throw Failure(description: "\(what) failed (\(reply.reply_type.rawValue), \(reply.library_error))")
        }
    }

    /// Never among those that are opened one after the other.
    private static let makingChannel: UInt16 = 2000
    private static let contentType = RawText("text/plain")
    private static let nonce = RawText("00112233445566778899aabbccddeeff")
    private static let type = RawText("mqlock.bench")

    private static func majorVersion(_ properties: amqp_table_t?) -> Int {
        guard let properties else { return .max }
        for entry in entries(properties) where text(entry.key) == "version" {
            return Int(text(entry.value.value.bytes).prefix { $0 != "." }) ?? .max
        }
        return .max
    }

    static func entries(_ table: amqp_table_t) -> UnsafeBufferPointer<amqp_table_entry_t> {
        UnsafeBufferPointer(start: table.entries, count: Int(table.num_entries))
    }

    static func text(_ bytes: amqp_bytes_t) -> String {
        String(decoding: UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len), as: UTF8.self)
    }
}

/// Text in C's memory, for as long as this lives.
final class RawText: Sendable {
    private let address: UInt
    let count: Int

    init(_ text: String) {
        address = UInt(bitPattern: strdup(text))
        count = text.utf8.count
    }

    deinit { free(UnsafeMutableRawPointer(bitPattern: address)) }

    var bytes: amqp_bytes_t { amqp_bytes_t(len: count, bytes: UnsafeMutableRawPointer(bitPattern: address)) }
}
