import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Maps the system's error numbers to our failures.
extension ConnectionFailure {
    /// Whether this process, or its machine, is short of something: then no other host would work better.
    static func isOfThisProcess(_ code: Int32) -> Bool { [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(code) }

    init(ofThisProcess code: Int32) {
        switch code {
        case EMFILE:
            self.init(
                .system(
                    "this process is out of file descriptors: raise its limit (ulimit -n, or LimitNOFILE of its service)"
                ))
        case ENFILE: self.init(.system("this machine is out of file descriptors: raise its limit (fs.file-max)"))
        default: self.init(.system("this machine is short of something: \(systemErrorText(code))"))
        }
    }

    static let outOfThreads = ConnectionFailure(
        .system("this process is out of threads: raise its limit (ulimit -u, or TasksMax of its service)"))

    /// Throws when no descriptor is available: the libraries report that as whatever operation failed because of it.
    static func checkDescriptors() throws(ConnectionFailure) {
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        if descriptor >= 0 {
            close(descriptor)
        } else if isOfThisProcess(errno) {
            throw ConnectionFailure(ofThisProcess: errno)
        }
    }

    /// connect(2) has failed.
    init(connecting code: Int32, to endpoint: Endpoint) {
        switch code {
        case ECONNREFUSED, ECONNRESET: self.init(.unreachable("nothing accepts connections at \(endpoint.address)"))
        case ETIMEDOUT: self.init(.timedOut("\(endpoint.address) did not accept a connection"))
        case EADDRNOTAVAIL:
            self.init(.unreachable("\(endpoint.address): this machine has no address or no port left to connect from"))
        default: self.init(.unreachable("\(endpoint.address): \(systemErrorText(code))"))
        }
    }

    init(notAcceptedBy endpoint: Endpoint, within timeout: Duration) {
        self.init(.timedOut("\(endpoint.address) did not accept a connection within \(timeout.readable)"))
    }

    /// The combined failure of hosts that were tried in turn.
    init(ofAll failures: [ConnectionFailure]) {
        if failures.count == 1 {
            self = failures[0]
        } else {
            self.init(.unreachable(failures.map(\.detail).joined(separator: "; ")))
        }
    }

    /// The message, without what to do about it.
    private var detail: String {
        switch kind {
        case .unreachable(let text), .tls(let text), .protocolMismatch(let text): text
        default: message
        }
    }
}
