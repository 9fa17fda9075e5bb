#if canImport(Glibc)
import CMQLockRabbitMQ
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A pipe that ends a `poll` from another thread. Owns both descriptors and closes each exactly once.
final class WakePipe: Sendable {
    let readEnd: Int32
    private let writeEnd: Int32

    init() throws(ConnectionFailure) {
        var ends: [Int32] = [-1, -1]
        #if canImport(Glibc)
        let status = mqlock_pipe2(&ends, O_CLOEXEC | O_NONBLOCK)
        #else
        let status = pipe(&ends)
        #endif
        guard status == 0 else {
            throw ConnectionFailure(ofThisProcess: errno)
        }
        #if !canImport(Glibc)
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        #endif
        readEnd = ends[0]
        writeEnd = ends[1]
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    /// Makes `readEnd` readable until `drain`. A full pipe (EAGAIN) is already readable, so nothing is lost.
    func signal() {
        var byte: UInt8 = 1
        while write(writeEnd, &byte, 1) < 0, errno == EINTR {}
    }

    func drain() {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer in
            while true {
                let count = read(readEnd, buffer.baseAddress, buffer.count)
                if count < buffer.count, !(count < 0 && errno == EINTR) { return }
            }
        }
    }
}

/// `strerror` as a Swift string.
func systemErrorText(_ code: Int32) -> String {
    guard let text = strerror(code) else { return "errno \(code)" }
    return String(cString: text)
}
