import MQLock
import Synchronization

#if canImport(Glibc)
import CMQLockRabbitMQ
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A client of a loop: something with a socket. All of it runs on the loop's thread.
protocol LoopClient: AnyObject {
    /// For `poll`; does not change while the client is watched.
    var socketDescriptor: Int32 { get }
    /// Whether data read from the socket earlier is still waiting: `poll` does not report that.
    var hasBufferedInput: Bool { get }
    /// Whether a write is waiting for room in the socket's buffer.
    var wantsToWrite: Bool { get }
    /// There is something to read, or room to write, or an error.
    func socketIsReady()
    /// Called at the end of every turn, before the loop sleeps. Send here what the turn has written.
    func endTurn()
}

/// One thread that waits for jobs, timers and sockets, and is the executor of the actor that owns them.
///
/// An actor makes it its executor by returning `asUnownedSerialExecutor()` from `unownedExecutor`. Its methods then run
/// on the loop's thread, and so do timers and clients. Code on the loop needs no lock and no hop.
///
/// A turn of the loop runs, in this order, the new jobs, the results of offloaded work, the timers that are due, the
/// clients whose sockets are ready, and every client's `endTurn`. Then it sleeps until there is something to do.
/// Nothing may block in a turn; blocking work goes through `offload`.
///
/// **Life.** The thread starts with the first job. It retains the loop, so `stop()` has to be called, at the latest in
/// the owning actor's `deinit`. `stop()` may be called from anywhere, more than once, and waits for nothing. The loop
/// then forgets clients, timers and offloaded work (resolve what waits for them first), runs the remaining jobs and
/// ends its thread. A job that is enqueued later starts a new thread, which ends when there are no more jobs. At any
/// time at most one thread serves the loop, so an actor call after `stop()` is isolated as before and never hangs.
///
/// **No lost wake-up.** `jobs`, `results` and `isSleeping` are guarded by one lock. The loop sets `isSleeping` in the
/// section in which it finds both empty, so a job is either appended before that section, and found, or after it, and
/// then its `enqueue` sees `isSleeping` and writes to the pipe, which stays readable until the loop has returned from
/// `poll` and drained it. What the loop drains was written, under the lock, after an append; and the loop looks again
/// after each drain. `enqueue` clears `isSleeping`, so a burst costs one write.
final class EventLoop: SerialExecutor, Sendable {
    /// What other threads ask of the loop.
    private enum Job {
        case ofActor(UnownedJob)
        case body(@Sendable () -> Void)
    }

    private struct Shared {
        var jobs: [Job] = []
        /// Finished offloaded work, by its number.
        var results: [(number: UInt64, result: Handover)] = []
        var isSleeping = false
        var isStopping = false
        /// A thread runs `serve`, or is about to.
        var isServed = false
    }

    /// State that only the loop's thread touches.
    private struct Local {
        var timers = TimerQueue()
        var clients: [any LoopClient] = []
        var awaited: [UInt64: (Handover) -> Void] = [:]
        var isStopped = false
    }

    /// A value on its way from the thread that made it to the loop's thread; neither keeps a copy.
    private struct Handover: @unchecked Sendable {
        let value: Any
    }

    private let name: String
    private let wakePipe: WakePipe
    private let shared = Locked(Shared())
    private let lastNumber = Atomic<UInt64>(0)
    /// The thread that serves now, 0 for none. A thread can read its own number here only if it stored it.
    private let servingThread = Atomic<UInt>(0)
    nonisolated(unsafe) private var local = Local()

    /// Fails if the process is out of descriptors.
    init(name: String) throws(ConnectionFailure) {
        self.name = name
        wakePipe = try WakePipe()
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

    func enqueue(_ job: consuming ExecutorJob) { enqueue(.ofActor(UnownedJob(job))) }

    /// Runs `body` on the loop, after all jobs that were enqueued before. Does not wait for it.
    func run(_ body: @escaping @Sendable () -> Void) { enqueue(.body(body)) }

    private func enqueue(_ job: Job) {
        // All of it under the lock: as soon as the job can run, it may release the actor, and with it the loop.
        shared.withLock { shared in
            shared.jobs.append(job)
            if shared.isServed {
                wakeUp(&shared)
            } else {
                shared.isServed = true
                // Out of threads: the job must not be dropped, and threads become available again.
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

    /// Serves the client from now on.
    func watch(_ client: any LoopClient) {
        checkIsolated()
        if !local.isStopped { local.clients.append(client) }
    }

    /// Call this before the client's descriptor is closed.
    func unwatch(_ client: any LoopClient) {
        checkIsolated()
        local.clients.removeAll { $0 === client }
    }

    /// Runs `work`, which may block, on a separate thread, and `done` with its result on the loop. If the loop is
    /// stopped meanwhile, it drops the result.
    /// - Returns: false when the process is out of threads; then nothing runs. The loop does not do the work itself,
    ///   because its timers would have to wait.
    @discardableResult
    func offload<Result>(
        _ work: @escaping @Sendable () -> sending Result, then done: @escaping (Result) -> Void
    ) -> Bool {
        checkIsolated()
        guard !local.isStopped else { return true }
        let number = lastNumber.add(1, ordering: .relaxed).newValue
        local.awaited[number] = { handover in
            if let result = handover.value as? Result { done(result) }
        }
        let body: @Sendable () -> Void = { [self] in
            let result = Handover(value: work())
            shared.withLock { shared in
                shared.results.append((number, result))
                wakeUp(&shared)
            }
        }
        if LoopThread.start(name: "\(name)+", body) == 0 { return true }
        local.awaited[number] = nil
        return false
    }

    /// Runs `body` on the loop at `deadline` or soon after. `poll` does not count the time that the machine is
    /// suspended, so after a resume a timer may be late by what was left of it: compare the deadline at every use. A
    /// stopped loop accepts no timers.
    @discardableResult
    func schedule(at deadline: ContinuousClock.Instant, _ body: @escaping () -> Void) -> TimerID {
        checkIsolated()
        let timer = local.timers.add(at: deadline, body)
        if local.isStopped { local.timers.removeAll() }
        return timer
    }

    /// Returns whether the timer was still pending.
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
        var batch: [Job] = []
        var ready: [any LoopClient] = []
        while true {
            var results: [(number: UInt64, result: Handover)] = []
            let isStopping = shared.withLock { shared in
                shared.isSleeping = false
                swap(&batch, &shared.jobs)
                swap(&results, &shared.results)
                return shared.isStopping
            }
            if isStopping { local = Local(isStopped: true) }
            for job in batch {
                switch job {
                case .ofActor(let job): job.runSynchronously(on: executor)
                case .body(let body): body()
                }
            }
            batch.removeAll(keepingCapacity: true)
            for (number, result) in results { local.awaited.removeValue(forKey: number)?(result) }
            fireTimers()
            for client in ready where isWatched(client) { client.socketIsReady() }
            for client in local.clients where client.hasBufferedInput { client.socketIsReady() }
            for client in local.clients { client.endTurn() }
            ready.removeAll(keepingCapacity: true)

            let hasBuffered = local.clients.contains { $0.hasBufferedInput }
            let next: Next = shared.withLock { shared in
                if !shared.jobs.isEmpty || !shared.results.isEmpty || hasBuffered { return .work }
                if shared.isStopping {
                    guard local.isStopped else { return .work }
                    // From here on another thread may serve the loop: touch nothing.
                    servingThread.store(0, ordering: .relaxed)
                    shared.isServed = false
                    return .end
                }
                shared.isSleeping = true
                return .sleep
            }
            switch next {
            case .work: if !local.isStopped { poll(until: .now, &ready) }
            case .sleep: poll(until: local.timers.nextDeadline(), &ready)
            case .end: return
            }
        }
    }

    /// A client may be gone before its turn comes.
    private func isWatched(_ client: any LoopClient) -> Bool { local.clients.contains { $0 === client } }

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

    /// Waits for the pipe, a socket or the deadline (nil: without one); collects the clients whose sockets are ready.
    private func poll(until deadline: ContinuousClock.Instant?, _ ready: inout [any LoopClient]) {
        let clients = local.clients
        withUnsafeTemporaryAllocation(of: pollfd.self, capacity: clients.count + 1) { descriptors in
            descriptors[0] = pollfd(fd: wakePipe.readEnd, events: Int16(POLLIN), revents: 0)
            for (index, client) in clients.enumerated() {
                let events = client.wantsToWrite ? POLLIN | POLLOUT : POLLIN
                descriptors[index + 1] = pollfd(fd: client.socketDescriptor, events: Int16(events), revents: 0)
            }
            // An interrupt counts as a wake-up: the next turn finds nothing to do and comes back.
            guard pollDescriptors(descriptors, until: deadline) > 0 else { return }
            if descriptors[0].revents != 0 { wakePipe.drain() }
            for (index, client) in clients.enumerated() where descriptors[index + 1].revents != 0 {
                ready.append(client)
            }
        }
    }
}

/// `ppoll` if available, for its resolution; otherwise `poll`, with the time rounded up to milliseconds so the loop
/// does not spin through the last one.
private func pollDescriptors(
    _ descriptors: UnsafeMutableBufferPointer<pollfd>, until deadline: ContinuousClock.Instant?
) -> Int32 {
    let remaining = deadline.map { max(.zero, ContinuousClock.now.duration(to: $0)) }
    #if canImport(Glibc)
    guard let remaining else { return mqlock_ppoll(descriptors.baseAddress, nfds_t(descriptors.count), nil) }
    let (seconds, attoseconds) = remaining.bounded.components
    var time = timespec(tv_sec: Int(min(seconds, 86_400)), tv_nsec: Int((attoseconds + 999_999_999) / 1_000_000_000))
    if time.tv_nsec >= 1_000_000_000 { time = timespec(tv_sec: time.tv_sec + 1, tv_nsec: 0) }
    return mqlock_ppoll(descriptors.baseAddress, nfds_t(descriptors.count), &time)
    #else
    guard let remaining else { return poll(descriptors.baseAddress, nfds_t(descriptors.count), -1) }
    let (seconds, attoseconds) = remaining.bounded.components
    let milliseconds = min(seconds, 86_400) * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    return poll(descriptors.baseAddress, nfds_t(descriptors.count), Int32(milliseconds))
    #endif
}
