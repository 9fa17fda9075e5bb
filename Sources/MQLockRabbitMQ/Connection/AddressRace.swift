import MQLock

#if canImport(Glibc)
import CMQLockRabbitMQ
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Connects to the addresses of a host, each one soon after the previous one or as soon as that has failed, and returns
/// the first that accepts (RFC 8305, 5). A silent address costs a moment, not the whole time.
///
/// Used on one thread. At the end, sockets that are still connecting are closed.
final class AddressRace {
    private let endpoint: Endpoint
    private let attempt: ConnectionAttempt
    private var waiting: ArraySlice<SocketAddress>
    private var connecting: [Int32] = []
    private var nextStart = ContinuousClock.now
    /// The failure of the address that failed last.
    private var failure: ConnectionFailure?

    /// RFC 8305 recommends it.
    private static let longestPause = Duration.milliseconds(250)

    /// - Parameter endpoint: the one host that has these addresses, for messages.
    init(_ addresses: [SocketAddress], of endpoint: Endpoint, for attempt: ConnectionAttempt) {
        self.endpoint = endpoint
        self.attempt = attempt
        waiting = addresses[...]
    }

    deinit { connecting.forEach { _ = close($0) } }

    /// How many addresses have neither failed nor been returned.
    var left: Int { waiting.count + connecting.count }

    /// The next address that accepts, as a descriptor that the caller owns.
    func next(until deadline: ContinuousClock.Instant) throws(ConnectionFailure) -> Int32 {
        let start = ContinuousClock.now
        while true {
            let now = ContinuousClock.now
            if !waiting.isEmpty, connecting.isEmpty || nextStart <= now {
                let pause = now.duration(to: deadline) / (waiting.count + 1)
                if let descriptor = try begin(waiting.removeFirst()) { return descriptor }
                nextStart = now.after(max(.zero, min(Self.longestPause, pause)))
                continue
            }
            guard !connecting.isEmpty else {
                throw failure ?? ConnectionFailure(.unreachable("\(endpoint.address) has no address"))
            }
            guard now < deadline else {
                throw ConnectionFailure(notAcceptedBy: endpoint, within: start.duration(to: deadline))
            }
            if let descriptor = try firstReady(until: waiting.isEmpty ? deadline : min(deadline, nextStart)) {
                return descriptor
            }
        }
    }

    private func firstReady(until deadline: ContinuousClock.Instant) throws(ConnectionFailure) -> Int32? {
        var descriptors = connecting.map { pollfd(fd: $0, events: Int16(POLLOUT), revents: 0) }
        try attempt.wait(for: &descriptors, until: deadline)
        for entry in descriptors where entry.revents != 0 {
            connecting.removeAll { $0 == entry.fd }
            var code: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            guard getsockopt(entry.fd, SOL_SOCKET, SO_ERROR, &code, &length) == 0, code == 0 else {
                close(entry.fd)
                try note(code)
                nextStart = .now
                continue
            }
            return entry.fd
        }
        return nil
    }

    /// - Returns: the descriptor, if the address has already accepted.
    private func begin(_ address: SocketAddress) throws(ConnectionFailure) -> Int32? {
        #if canImport(Glibc)
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        #else
        let kind = SOCK_STREAM
        #endif
        let descriptor = socket(address.family, kind, 0)
        guard descriptor >= 0 else {
            try note(errno)
            return nil
        }
        configure(descriptor)
        if address.withPointer({ connect(descriptor, $0, $1) }) == 0 { return descriptor }
        let code = errno
        guard code == EINPROGRESS || code == EINTR else {
            close(descriptor)
            try note(code)
            return nil
        }
        connecting.append(descriptor)
        return nil
    }

    /// As the library does with its own sockets.
    private func configure(_ descriptor: Int32) {
        var on: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        #if !canImport(Glibc)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        setsockopt(descriptor, SOL_SOCKET, SO_NOSIGPIPE, &on, size)
        #endif
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, size)
        setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, size)
    }

    /// A shortage in this process affects the other addresses, too.
    private func note(_ code: Int32) throws(ConnectionFailure) {
        guard !ConnectionFailure.isOfThisProcess(code) else { throw ConnectionFailure(ofThisProcess: code) }
        failure = ConnectionFailure(connecting: code, to: endpoint)
    }
}
