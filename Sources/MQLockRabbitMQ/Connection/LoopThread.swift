import MQLock

#if canImport(Glibc)
import CMQLockRabbitMQ
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The threads that event loops run on.
enum LoopThread {
    /// Runs `body` on a new detached thread with a name for debuggers. Returns an errno, 0 on success.
    static func start(name: String, _ body: @escaping @Sendable () -> Void) -> Int32 {
        DetachedThread.start {
            #if canImport(Glibc)
            // Linux refuses names of more than 15 bytes.
            mqlock_pthread_setname(String(decoding: name.utf8.prefix(15), as: UTF8.self))
            #else
            pthread_setname_np(name)
            #endif
            body()
        }
    }

    /// Identifies the calling thread; never 0.
    static var currentID: UInt {
        #if canImport(Glibc)
        return UInt(pthread_self())
        #else
        return UInt(bitPattern: pthread_self())
        #endif
    }
}
