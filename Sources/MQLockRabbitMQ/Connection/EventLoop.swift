import Synchronization

#if canImport(Glibc)
import CRabbitMQ
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// One thread that waits for jobs, timers and at most one socket, and is the executor of the actor that owns them.
///
/// An actor makes it its executor by returning `asUnownedSerialExecutor()` from `unownedExecutor`. Its methods then
/// run on the loop's thread, and so do timers and the socket's handlers, which may use `assumeIsolated`.
///
/// A turn of the loop runs, in this order, the jobs that have come, the timers that are due, the socket's handler if
/// the socket is readable, and `afterTurn`; then it sleeps until there is something to do.
///
/// **Life.** The thread holds the loop, so somebody has to call `stop()`; the owning actor's `deinit` is a good last
/// place. `stop()` may be called from anywhere, more than once, and waits for nothing. The loop then forgets the
/// socket, `afterTurn` and all timers without firing them (resolve what waits for them first), runs the jobs that
/// have come and ends its thread. A job that is enqueued later starts a new thread, which ends when there are no
/// more: at any time at most one thread serves the loop, so an actor call after `stop()` is isolated as before and
/// never hangs.
///
/// **No lost wake-up.** `jobs` and `isSleeping` are guarded by one lock. The loop sets `isSleeping` in the section in
/// which it finds `jobs` empty, so a job is either appended before that section, and found, or after it, and then
/// its `enqueue` sees `isSleeping` and writes to the pipe, which stays readable until the loop has returned from
/// `poll` and drained it. What the loop drains was written, under the lock, after an append; and the loop looks at
/// `jobs` again after each drain. `enqueue` clears `isSleeping`, so a burst costs one write.
final class EventLoop: SerialExecutor, Sendable {
    private struct Shared {
        var jobs: [UnownedJob] = []
        var isSleeping = false
        var isStopping = false
        /// A thread runs `serve`, or is about to.
        var isServed = true
    }

    private struct Watch {
        let descriptor: Int32
        let hasBuffered: () -> Bool
        let onReadable: () -> Void
    }

    /// What only the loop's thread touches.
    private struct Local {
        var timers = TimerQueue()
        var watch: Watch?
        var afterTurn: (() -> Void)?
        var isStopped = false
    }

    private let name: String
    private let wakePipe: WakePipe
    private let shared = LoopLock(Shared())
    /// The thread that serves now, 0 for none. A thread can only ever read its own number here if it stored it.
    private let servingThread = Atomic<UInt>(0)
    nonisolated(unsafe) private var local = Local()

    /// Starts the thread. Fails if the process is out of descriptors or threads.
    init(name: String) throws(ConnectionFailure) {
        self.name = name
        wakePipe = try WakePipe()
        let status = LoopThread.start(name: name) { self.serve() }
        guard status == 0 else {
            throw ConnectionFailure(.system("cannot start a thread: \(systemErrorText(status))"))
        }
    }

    /// Whether the caller runs on the loop's thread.
    var isOnLoop: Bool { servingThread.load(ordering: .relaxed) == LoopThread.currentID }

    func stop() {
        shared.withLock { shared in
            shared.isStopping = true
            wakeUp(&shared)
        }
    }

    // MARK: Executor

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        // All of it under the lock: the job may release the actor, and with it the loop, as soon as it can be taken.
        shared.withLock { shared in
            shared.jobs.append(job)
            if shared.isServed {
                wakeUp(&shared)
            } else {
                shared.isServed = true
                // Out of threads: the job must not be dropped, and threads come back.
                while LoopThread.start(name: name, { self.serve() }) != 0 { usleep(1000) }
            }
        }
    }

    func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    func isSameExclusiveExecutionContext(other: EventLoop) -> Bool { self === other }

    func checkIsolated() {
        precondition(isOnLoop, "not on the thread of event loop \(name)")
    }

    @available(macOS 26.0, iOS 26.0, tvOS 26.0, watchOS 26.0, visionOS 26.0, *)
    func isIsolatingCurrentContext() -> Bool? { isOnLoop }

    // MARK: On the loop only

    /// Called once at the end of every turn, before the loop sleeps: the place to flush what the turn has written.
    var afterTurn: (() -> Void)? {
        get {
            checkIsolated()
            return local.afterTurn
        }
        set {
            checkIsolated()
            if !local.isStopped { local.afterTurn = newValue }
        }
    }

    /// Calls `onReadable` whenever the descriptor is readable or in error, or `hasBuffered` says that something that
    /// was read from it earlier still waits; `poll` does not report the latter. Replaces the descriptor watched so far.
    func watch(_ descriptor: Int32, hasBuffered: @escaping () -> Bool, onReadable: @escaping () -> Void) {
        checkIsolated()
        guard !local.isStopped else { return }
        local.watch = Watch(descriptor: descriptor, hasBuffered: hasBuffered, onReadable: onReadable)
    }

    /// To be called before the descriptor is closed.
    func unwatch() {
        checkIsolated()
        local.watch = nil
    }

    /// Runs `body` on the loop at `deadline` or soon after. `poll` does not count the time that the machine is
    /// suspended, so after a resume a timer may be late by what was left of it: compare the deadline at every use.
    /// A loop that was stopped takes no timers.
    @discardableResult
    func schedule(at deadline: ContinuousClock.Instant, _ body: @escaping () -> Void) -> TimerID {
        checkIsolated()
        let timer = local.timers.add(at: deadline, body)
        if local.isStopped { local.timers.removeAll() }
        return timer
    }

    /// Returns whether the timer was still to come.
    @discardableResult
    func cancel(_ timer: TimerID) -> Bool {
        checkIsolated()
        return local.timers.cancel(timer)
    }

    // MARK: The thread

    private enum Next {
        case work, sleep, end
    }

    private func serve() {
        servingThread.store(LoopThread.currentID, ordering: .relaxed)
        let executor = asUnownedSerialExecutor()
        var batch: [UnownedJob] = []
        var isReadable = false
        while true {
            let isStopping = shared.withLock { shared in
                shared.isSleeping = false
                swap(&batch, &shared.jobs)
                return shared.isStopping
            }
            if isStopping { local = Local(isStopped: true) }
            for job in batch { job.runSynchronously(on: executor) }
            batch.removeAll(keepingCapacity: true)
            fireTimers()
            if let watch = local.watch, isReadable || watch.hasBuffered() { watch.onReadable() }
            if let afterTurn = local.afterTurn { afterTurn() }

            let hasBuffered = local.watch?.hasBuffered() ?? false
            let next: Next = shared.withLock { shared in
                if !shared.jobs.isEmpty || hasBuffered { return .work }
                if shared.isStopping {
                    guard local.isStopped else { return .work }
                    // From here on another thread may serve: nothing is touched any more.
                    servingThread.store(0, ordering: .relaxed)
                    shared.isServed = false
                    return .end
                }
                shared.isSleeping = true
                return .sleep
            }
            switch next {
            case .work: isReadable = local.isStopped ? false : poll(until: .now)
            case .sleep: isReadable = poll(until: local.timers.nextDeadline())
            case .end: return
            }
        }
    }

    private func fireTimers() {
        guard local.timers.count > 0 else { return }
        let now = ContinuousClock.now
        let mark = local.timers.mark
        while let body = local.timers.popDue(at: now, before: mark) { body() }
    }

    /// Called with the lock held.
    private func wakeUp(_ shared: inout Shared) {
        guard shared.isSleeping else { return }
        shared.isSleeping = false
        wakePipe.signal()
    }

    /// Waits for the pipe, the socket or the deadline (nil: for ever); returns whether the socket's handler is due.
    private func poll(until deadline: ContinuousClock.Instant?) -> Bool {
        let socket = local.watch?.descriptor
        return withUnsafeTemporaryAllocation(of: pollfd.self, capacity: 2) { descriptors in
            descriptors[0] = pollfd(fd: wakePipe.readEnd, events: Int16(POLLIN), revents: 0)
            // poll ignores negative descriptors.
            descriptors[1] = pollfd(fd: socket ?? -1, events: Int16(POLLIN), revents: 0)
            // Interrupted counts as woken: the next turn finds nothing to do and comes back.
            guard pollDescriptors(descriptors, until: deadline) > 0 else { return false }
            if descriptors[0].revents != 0 { wakePipe.drain() }
            return descriptors[1].revents != 0
        }
    }
}

/// `ppoll` where there is one, for its resolution; else `poll`, with the time rounded up to its milliseconds so that the
/// loop does not spin through the last one.
private func pollDescriptors(
    _ descriptors: UnsafeMutableBufferPointer<pollfd>, until deadline: ContinuousClock.Instant?
) -> Int32 {
    let remaining = deadline.map { max(.zero, ContinuousClock.now.duration(to: $0)) }
    #if canImport(Glibc)
    guard let remaining else { return mqlock_ppoll(descriptors.baseAddress, nfds_t(descriptors.count), nil) }
    let (seconds, attoseconds) = remaining.components
    var time = timespec(tv_sec: Int(min(seconds, 86_400)), tv_nsec: Int((attoseconds + 999_999_999) / 1_000_000_000))
    if time.tv_nsec >= 1_000_000_000 { time = timespec(tv_sec: time.tv_sec + 1, tv_nsec: 0) }
    return mqlock_ppoll(descriptors.baseAddress, nfds_t(descriptors.count), &time)
    #else
    guard let remaining else { return poll(descriptors.baseAddress, nfds_t(descriptors.count), -1) }
    let (seconds, attoseconds) = remaining.components
    let milliseconds = min(seconds, 86_400) * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    return poll(descriptors.baseAddress, nfds_t(descriptors.count), Int32(milliseconds))
    #endif
}
