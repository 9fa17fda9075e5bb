import Foundation

/// The write end of the pipe that the signal handler writes to; set before the handler is installed.
nonisolated(unsafe) private var handlerPipe: Int32 = -1

/// A file-scope function, because a handler may run on any thread.
private func handle(_ signal: Int32) {
    let saved = errno
    var number = UInt8(truncatingIfNeeded: signal)
    _ = write(handlerPipe, &number, 1)
    errno = saved
}

/// INT, TERM, HUP and QUIT as values, so that a command can end its workers and clean up before it obeys.
enum TerminatingSignals {
    /// - Parameter deliver: called for each signal, on a thread of its own.
    static func watch(_ deliver: @escaping @Sendable (Int32) -> Void) throws(CommandFailure) {
        guard let ends = Spawn.pipe() else { throw .system("pipe", "signals") }
        handlerPipe = ends.writing
        let reading = ends.reading
        // The death of a worker while we answer it must not end us.
        signal(SIGPIPE, SIG_IGN)
        for number in Signals.terminating { signal(number, handle) }
        Thread.detachNewThread {
            // A process that blocked them before us (`mqlock` does, to forward them) blocked them in all threads.
            var set = Signals.set(Signals.terminating)
            pthread_sigmask(SIG_UNBLOCK, &set, nil)
            var number: UInt8 = 0
            while true {
                let count = read(reading, &number, 1)
                if count == 1 { deliver(Int32(number)) } else if count == 0 || errno != EINTR { return }
            }
        }
    }
}
