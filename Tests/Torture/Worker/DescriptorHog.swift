import Foundation
import MQLock

/// Takes every file descriptor that the process may have but one, also those that become free, until it is stopped.
///
/// One is left, because without any libdispatch ends the process: its watch over the thread pool cannot open the file of a
/// thread in /proc and traps (Swift 6.3). A connection needs three.
final class DescriptorHog: Sendable {
    private let isRunning = Locked(false)

    /// Lowers the limit to a little more than what is in use; returns it.
    func start() -> Int32 {
        let highest = (0..<4096).last(where: Self.isOpen) ?? 2
        // poll(2) refuses more descriptors than the limit.
        let limit = highest + 32
        #if os(Linux)
        let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        #else
        let kind = RLIMIT_NOFILE
        #endif
        var limits = rlimit()
        getrlimit(kind, &limits)
        limits.rlim_cur = rlim_t(limit)
        setrlimit(kind, &limits)
        isRunning.withLock { $0 = true }
        let isFull = DispatchSemaphore(value: 0)
        Thread.detachNewThread { [isRunning] in
            var taken: [Int32] = []
            while isRunning.withLock({ $0 }) {
                // Looked at without opening anything.
                if (0..<limit).count(where: { !Self.isOpen($0) }) > 1 {
                    let descriptor = dup(0)
                    if descriptor >= 0 { taken.append(descriptor) }
                } else {
                    isFull.signal()
                    usleep(500)
                }
            }
            for descriptor in taken { close(descriptor) }
        }
        isFull.wait()
        return limit
    }

    func stop() { isRunning.withLock { $0 = false } }

    private static func isOpen(_ descriptor: Int32) -> Bool { fcntl(descriptor, F_GETFD) >= 0 }
}
