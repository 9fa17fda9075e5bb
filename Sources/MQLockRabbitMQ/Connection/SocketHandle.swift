import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A second descriptor of a connection's socket, which any thread may use to abort the connection.
///
/// The library may close its own descriptor at any time (on a heartbeat timeout); then the number may belong to another
/// file. This duplicate lives until the wrapper closes it, exactly once, so polling and shutting down through it never
/// hit another file.
final class SocketHandle: Sendable {
    /// For the loop to poll. Only on the connection's thread, and not after the connection has failed or was closed.
    let descriptor: Int32
    private let isOpen = Locked(true)

    init(duplicating descriptor: Int32) throws(ConnectionFailure) {
        self.descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard self.descriptor >= 0 else { throw ConnectionFailure(ofThisProcess: errno) }
    }

    deinit { close() }

    /// Makes reads and writes on the socket return at once, even one that another thread is blocked in.
    func shutdownSocket() {
        isOpen.withLock { isOpen in
            if isOpen { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }

    func close() {
        isOpen.withLock { isOpen in
            guard isOpen else { return }
            isOpen = false
            closeDescriptor(descriptor)
        }
    }
}

func closeDescriptor(_ descriptor: Int32) { _ = close(descriptor) }
