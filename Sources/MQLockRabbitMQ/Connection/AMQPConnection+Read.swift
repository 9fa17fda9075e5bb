import CMQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension AMQPConnection {
    /// Reads once, passes on what that has brought, sends a heartbeat if one is due, and never waits. What arrives later
    /// shows in `poll`, and with TLS, where that is not so, it is read as well.
    ///
    /// The handler may send, `close` and `abort`. When the broker closes the connection, the handler is notified; then
    /// this call and every further call throw.
    func readAvailable(_ handler: (Inbound) -> Void) throws(ConnectionFailure) {
        precondition(!isReading, "readAvailable called by its own handler")
        isReading = true
        defer { isReading = false }
        // The handler may have closed the connection.
        var isRead = false
        while state != nil {
            if isRead, endpoint.tls == nil, !hasBufferedInput { return }
            isRead = true
            guard let frame = try nextFrame() else { return }
            let inbound = try decode(frame)
            // We have copied all that we keep of the frame. The library refuses this while another frame is half read
            // or frames are queued; then a later call does it.
            if let state { amqp_maybe_release_buffers_on_channel(state, frame.channel) }
            guard let inbound else { continue }
            handler(inbound)
            if case .connectionClosed(let code, let text) = inbound {
                throw fail(ConnectionFailure(closedWith: code, text: text))
            }
        }
        if let failure { throw failure }
    }

    private func nextFrame() throws(ConnectionFailure) -> amqp_frame_t? {
        let state = try live()
        var frame = amqp_frame_t()
        var zero = timeval(tv_sec: 0, tv_usec: 0)
        let status = amqp_simple_wait_frame_noblock(state, &frame, &zero)
        if status == AMQP_STATUS_TIMEOUT.rawValue { return nil }
        guard status >= 0 else { throw fail(ConnectionFailure(library: status)) }
        return frame
    }

    /// nil: nothing to report yet, or ever (heartbeats).
    private func decode(_ frame: amqp_frame_t) throws(ConnectionFailure) -> Inbound? {
        switch Int32(frame.frame_type) {
        case AMQP_FRAME_METHOD:
            return try decodeMethod(frame.payload.method, on: frame.channel)
        case AMQP_FRAME_HEADER:
            guard frame.payload.properties.class_id == AMQP_BASIC_CLASS, let decoded = frame.payload.properties.decoded
            else { throw malformed("a content header of class \(frame.payload.properties.class_id)") }
            let properties = MessageProperties(decoded.assumingMemoryBound(to: amqp_basic_properties_t.self).pointee)
            let size = frame.payload.properties.body_size
            return try assemble(frame.channel) { assembler throws(ContentAssembler.Violation) in
                try assembler.header(properties, bodySize: size)
            }
        case AMQP_FRAME_BODY:
            let fragment = frame.payload.body_fragment
            let bytes = UnsafeRawBufferPointer(start: fragment.bytes, count: fragment.len)
            return try assemble(frame.channel) { assembler throws(ContentAssembler.Violation) in
                try assembler.body(bytes)
            }
        // Queued by the library when it reads ahead during a blocked write.
        case AMQP_FRAME_HEARTBEAT: return nil
        default: throw malformed("a frame of type \(frame.frame_type)")
        }
    }

    private func assemble(
        _ channel: UInt16,
        _ step: (inout ContentAssembler) throws(ContentAssembler.Violation) -> ContentAssembler.Announcement?
    ) throws(ConnectionFailure) -> Inbound? {
        do throws(ContentAssembler.Violation) {
            return try step(&assemblers[channel, default: ContentAssembler()])?.inbound(on: channel)
        } catch {
            throw malformed("\(error.text) on channel \(channel)")
        }
    }

    private func decodeMethod(_ method: amqp_method_t, on channel: UInt16) throws(ConnectionFailure) -> Inbound? {
        guard let decoded = method.decoded else { throw malformed("method \(method.id) without arguments") }
        let message = InboundMethod(id: method.id, channel: channel, decoded: decoded)
        if let announcement = message.announcement {
            return try assemble(channel) { assembler throws(ContentAssembler.Violation) in
                try assembler.begin(announcement)
                return nil
            }
        }
        let inbound = message.inbound
        switch inbound {
        case .channelClosed:
            assemblers[channel] = nil
            try send(AMQP_CHANNEL_CLOSE_OK_METHOD, amqp_channel_close_ok_t(), on: channel)
        case .channelCloseOK: assemblers[channel] = nil
        case .connectionClosed:
            // Best effort: the broker hangs up anyway.
            if isWritable(within: .zero) {
                var answer = amqp_connection_close_ok_t()
                if let state { _ = amqp_send_method(state, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &answer) }
                isCorked = true
                flush()
            }
        default:
            guard assemblers[channel]?.isIdle ?? true else { throw malformed("a method within a message") }
        }
        return inbound
    }

    private func malformed(_ text: String) -> ConnectionFailure {
        fail(ConnectionFailure(.transport(status: 0, text: "the broker sent \(text)")))
    }
}
