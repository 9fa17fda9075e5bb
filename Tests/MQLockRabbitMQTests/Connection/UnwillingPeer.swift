import MQLock

@testable import MQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What can be at a broker's address in the place of a broker that works: every stage at which it can stop to answer.
enum UnwillingPeer: CaseIterable, Sendable {
    case nobody, accepts, acceptsNot, isNotFound, hangsUp, stopsInTheLogin, trickles, stopsAfterTheLogin

    /// - Returns: what has to be kept, and where it is.
    func start() throws -> (keep: any Sendable, endpoint: (inout SessionSettings) -> Void) {
        switch self {
        case .nobody:
            let port = try FakeServer(saying: nil).port
            return ((), { $0.endpoint.port = port })
        case .acceptsNot:
            let listener = try SilentListener()
            return (listener, { $0.endpoint.port = listener.port })
        case .isNotFound:
            // As the system's resolver, when the name servers are silent.
            let resolver = StuckResolver()
            return (
                resolver,
                {
                    $0.endpoint.host = "broker.test"
                    $0.lookUp = { [resolver] _ throws(ConnectionFailure) in resolver.wait() }
                }
            )
        case .hangsUp: return try serving(nil)
        case .accepts: return try serving([])
        case .stopsInTheLogin: return try serving(Array(Frames.login().prefix(40)))
        case .trickles: return try serving(Frames.login().map { $0 }, trickles: true)
        case .stopsAfterTheLogin: return try serving(Frames.login(heartbeat: 1))
        }
    }

    private func serving(
        _ bytes: [UInt8]?, trickles: Bool = false
    ) throws -> (keep: any Sendable, endpoint: (inout SessionSettings) -> Void) {
        let server = try FakeServer(saying: bytes, trickles: trickles)
        return (server, { $0.endpoint.port = server.port })
    }
}

/// Answers nothing until the test is over.
private final class StuckResolver: Sendable {
    private let end = OneEnd()

    func wait() -> [SocketAddress] {
        end.wait()
        return []
    }

    deinit { end.come() }
}

private final class OneEnd: @unchecked Sendable {
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(semaphore, 0, 0) }

    /// For the one who waits and for those who come later.
    func wait() {
        while sem_wait(semaphore) != 0 {}
        sem_post(semaphore)
    }

    func come() { sem_post(semaphore) }
}
