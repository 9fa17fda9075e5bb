#if canImport(Glibc)
import CRabbitMQ
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Starts the threads that event loops run on.
enum LoopThread {
    /// Runs `body` on a new detached thread. Returns an errno, 0 on success.
    ///
    /// Signals that are sent to the process are blocked there, so that they reach the program's own threads. They are
    /// blocked around the creation, because the new thread inherits the mask and so is never without it. Faults of
    /// the thread's own (SIGSEGV and the like) stay unblocked: crash reporters need them.
    static func start(name: String, _ body: @escaping @Sendable () -> Void) -> Int32 {
        var blocked = sigset_t()
        var previous = sigset_t()
        sigfillset(&blocked)
        for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS] { sigdelset(&blocked, fault) }
        pthread_sigmask(SIG_SETMASK, &blocked, &previous)
        defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }

        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        // Linux's default; elsewhere it is half a megabyte or less, and librabbitmq decodes nested tables recursively.
        pthread_attr_setstacksize(&attributes, 8 << 20)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))

        let start = Unmanaged.passRetained(ThreadStart(name: name, body: body))
        #if canImport(Glibc)
        var thread = pthread_t()
        #else
        var thread: pthread_t?
        #endif
        let status = pthread_create(&thread, &attributes, loopThreadMain, start.toOpaque())
        if status != 0 { start.release() }
        return status
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

private final class ThreadStart: Sendable {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}

private func runThread(_ context: UnsafeMutableRawPointer) {
    let start = Unmanaged<ThreadStart>.fromOpaque(context).takeRetainedValue()
    #if canImport(Glibc)
    // Linux refuses names of more than 15 bytes.
    mqlock_pthread_setname(String(decoding: start.name.utf8.prefix(15), as: UTF8.self))
    #else
    pthread_setname_np(start.name)
    #endif
    start.body()
}

#if canImport(Glibc)
private func loopThreadMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let context { runThread(context) }
    return nil
}
#else
private func loopThreadMain(_ context: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    runThread(context)
    return nil
}
#endif
