import MQLock

#if canImport(Glibc)
import CMQLockRabbitMQ
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// One attempt to connect and log in; any thread may abort it.
///
/// It runs on a thread that may block, and waits in `wait` or in the library's login; `cancel` ends both at once. It
/// does not end a TLS connection that the library is opening: that thread returns by its deadline, and nobody waits for
/// it.
final class ConnectionAttempt: Sendable {
    private struct State {
        var isCancelled = false
        var socket: SocketHandle?
    }

    private let wakePipe: WakePipe
    private let state = Locked(State())
    private let lookUp: Resolver.LookUp

    /// Fails if the process is out of descriptors.
    init(lookUp: @escaping Resolver.LookUp = Resolver.system) throws(ConnectionFailure) {
        wakePipe = try WakePipe()
        self.lookUp = lookUp
    }

    /// Ends the attempt with a failure; does nothing if it has already ended.
    func cancel() {
        let socket = state.withLock { state in
            state.isCancelled = true
            return state.socket
        }
        socket?.shutdownSocket()
        wakePipe.signal()
    }

    var isCancelled: Bool { state.withLock { $0.isCancelled } }

    static let cancelled = ConnectionFailure(.brokerClosed(code: 0, text: "this side broke the attempt to connect off"))

    /// From now on, cancelling the attempt shuts this socket down; nil: none.
    func use(_ socket: SocketHandle?) throws(ConnectionFailure) {
        let isCancelled = state.withLock { state in
            state.socket = socket
            return state.isCancelled
        }
        if isCancelled, socket != nil { throw Self.cancelled }
    }

    /// Waits until one of the descriptors is ready or the deadline has passed, or a shorter time.
    func wait(for descriptors: inout [pollfd], until deadline: ContinuousClock.Instant) throws(ConnectionFailure) {
        guard !isCancelled else { throw Self.cancelled }
        descriptors.append(pollfd(fd: wakePipe.readEnd, events: Int16(POLLIN), revents: 0))
        let remaining = max(.zero, ContinuousClock.now.duration(to: deadline))
        // Rounded up, so the caller does not spin through the last millisecond.
        let count = poll(
            &descriptors, nfds_t(descriptors.count), Int32(clamping: remaining.nanoseconds / 1_000_000 + 1))
        let wakes = descriptors.removeLast().revents != 0
        if count <= 0 { for index in descriptors.indices { descriptors[index].revents = 0 } }
        if wakes { wakePipe.drain() }
        guard !isCancelled else { throw Self.cancelled }
    }

    /// Resolves a host. The system's resolver cannot be interrupted, so this runs on a thread that may be left behind.
    func addresses(
        of host: Endpoint.Host, until deadline: ContinuousClock.Instant
    ) throws(ConnectionFailure) -> [SocketAddress] {
        if let addresses = Resolver.numeric(host) { return addresses }
        let answer = Locked<Result<[SocketAddress], ConnectionFailure>?>(nil)
        let error = LoopThread.start(name: "mqlock-dns") { [self] in
            let found = Result { () throws(ConnectionFailure) in try lookUp(host) }
            answer.withLock { $0 = found }
            wakePipe.signal()
        }
        guard error == 0 else { throw ConnectionFailure.outOfThreads }
        while true {
            if let answer = answer.withLock({ $0 }) { return try answer.get() }
            guard ContinuousClock.now < deadline else {
                throw ConnectionFailure(.timedOut("the host name \(host.name) could not be looked up in time"))
            }
            var nothing: [pollfd] = []
            try wait(for: &nothing, until: deadline)
        }
    }
}
