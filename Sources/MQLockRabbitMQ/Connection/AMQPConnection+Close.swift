import CMQLockRabbitMQ
import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension AMQPConnection {
    /// Sends connection.close, so the broker does not log a lost connection, and drops the connection. Waits at most
    /// 200 ms for the broker's answer; anything else that arrives meanwhile is dropped (the broker requeues it). Does
    /// nothing if the connection has failed or was closed before.
    func close() {
        sayGoodbye(within: .milliseconds(200))
        _ = fail(ConnectionFailure(.brokerClosed(code: 0, text: "this side closed the connection")))
    }

    private func sayGoodbye(within timeout: Duration) {
        // A full buffer means that the broker does not read, so a close would not arrive.
        guard let state, isWritable(within: .zero) else { return }
        let deadline = ContinuousClock.now.after(timeout)
        var method = amqp_connection_close_t(
            reply_code: 200, reply_text: arena.bytes("Goodbye"), class_id: 0, method_id: 0)
        let status = amqp_send_method(state, 0, AMQP_CONNECTION_CLOSE_METHOD, &method)
        arena.reset()
        flush()
        guard status >= 0 else { return }
        while true {
            let remaining = ContinuousClock.now.duration(to: deadline)
            guard remaining > .zero else { return }
            var limit = timeval(remaining)
            var frame = amqp_frame_t()
            guard amqp_simple_wait_frame_noblock(state, &frame, &limit) >= 0 else { return }
            let isMethod = Int32(frame.frame_type) == AMQP_FRAME_METHOD
            if isMethod, frame.payload.method.id == AMQP_CONNECTION_CLOSE_OK_METHOD { return }
            if isMethod, frame.payload.method.id == AMQP_CONNECTION_CLOSE_METHOD { return }
            amqp_maybe_release_buffers_on_channel(state, frame.channel)
        }
    }
}
