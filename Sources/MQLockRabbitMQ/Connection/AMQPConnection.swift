import CMQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// One AMQP connection over librabbitmq, used on one thread: the event loop's, once it has moved there.
///
/// **Reading.** `readAvailable` passes on what has arrived and never waits. Call it when the socket is readable, when
/// `hasBufferedInput` is true (a write may read ahead, which `poll` does not see), and at least every
/// `serviceInterval`: only inside library calls are heartbeats sent and the broker's silence noticed.
///
/// **Writing.** Every request is written at once and never waits for its answer. The library blocks in a write while
/// the socket's buffer is full, and it would keep blocking as long as the broker still sends heartbeats. So every write
/// first waits for room, at most `writeTimeout`, and then fails the connection. What is written after that fits the
/// room that the kernel promises, unless it is a large message. `socket.shutdownSocket()` ends even that wait.
///
/// **Failure.** When a library call, the broker or malformed data breaks the connection, it stays broken: the socket is
/// closed and the memory freed at once, and every further call throws the same failure. Arguments that cannot be sent
/// are `configuration` failures; these leave the connection as it was.
final class AMQPConnection {
    let endpoint: Endpoint
    let server: ServerProperties
    /// T, as negotiated: the broker closes the connection 2T to 3T after the last byte from us.
    let heartbeat: Duration
    let channelMax: UInt16
    let frameMax: Int
    /// For polling, and for other threads to abort the connection.
    let socket: SocketHandle

    /// nil once the connection has failed or was closed.
    var state: amqp_connection_state_t?
    private(set) var failure: ConnectionFailure?

    let arena = Arena()
    var assemblers: [UInt16: ContentAssembler] = [:]
    var isReading = false
    var isBatching = false
    var isCorked = false
    /// How many more methods certainly fit the socket's buffer.
    var framesThatFit = 0
    private var thread = LoopThread.currentID

    /// Takes over a logged-in connection.
    init(
        state: amqp_connection_state_t, endpoint: Endpoint, socket: SocketHandle, server: ServerProperties
    ) {
        self.state = state
        self.endpoint = endpoint
        self.socket = socket
        self.server = server
        heartbeat = .seconds(Int(amqp_get_heartbeat(state)))
        channelMax = UInt16(clamping: amqp_get_channel_max(state))
        frameMax = Int(amqp_get_frame_max(state))
    }

    deinit {
        destroy()
    }

    /// A connection is opened on a thread that may block, and then moves to the one that uses it.
    func moveToThisThread() { thread = LoopThread.currentID }

    /// The longest time that may pass between two calls of `readAvailable`.
    var serviceInterval: Duration { heartbeat / 4 }

    /// How long a write waits for room in the socket's buffer. If the loop were stuck longer, the proof of life would
    /// fail.
    var writeTimeout: Duration { heartbeat / 4 }

    var socketDescriptor: Int32 { socket.descriptor }

    /// Frames that were read but not passed on: `readAvailable` is due although `poll` does not report it.
    var hasBufferedInput: Bool {
        guard let state else { return false }
        return amqp_frames_enqueued(state) != 0 || amqp_data_in_buffer(state) != 0
    }

    /// The library's connection, for one call.
    func live() throws(ConnectionFailure) -> amqp_connection_state_t {
        guard let state else { throw failure ?? ConnectionFailure(.brokerClosed(code: 0, text: "closed")) }
        assert(LoopThread.currentID == thread, "an AMQP connection is used on one thread only")
        return state
    }

    /// Fails the connection; returns the failure, for throwing.
    func fail(_ failure: ConnectionFailure) -> ConnectionFailure {
        if self.failure == nil { self.failure = failure }
        destroy()
        return self.failure ?? failure
    }

    /// Drops the connection without a close: to the broker this is a crash, and it hands the locks over at once.
    func abort() {
        _ = fail(ConnectionFailure(.brokerClosed(code: 0, text: "this side aborted the connection")))
    }

    /// Frees the library's memory and closes both descriptors, once.
    private func destroy() {
        guard let state else { return }
        self.state = nil
        assemblers = [:]
        socket.shutdownSocket()
        amqp_destroy_connection(state)
        socket.close()
    }
}

/// What the broker reported about itself at login.
struct ServerProperties: Sendable, Equatable {
    let table: [String: FieldValue]

    /// "RabbitMQ"
    var product: String? { table["product"]?.string }
    /// Such as "3.10.8".
    var version: String? { table["version"]?.string }
    var clusterName: String? { table["cluster_name"]?.string }

    func has(capability name: String) -> Bool {
        table["capabilities"]?.table?[name]?.boolean ?? false
    }
}
