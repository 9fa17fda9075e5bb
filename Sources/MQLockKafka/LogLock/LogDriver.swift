import MQLock

/// Performs what the partitions' machines decide, on a thread of its own that runs no user code.
final class LogDriver: @unchecked Sendable {
    typealias Answer = CheckedContinuation<Result<LeaseRecord?, LockError>, Never>

    struct Settings: Sendable {
        var connection: KafkaConnection
        var topic: String
        var partition: LogPartition.Settings
        var requestTimeout: Duration
        /// How long calls wait for the first session.
        var startupTimeout: Duration?
        var log: @Sendable (LogLine) -> Void = { _ in }

        var owner: String { partition.session.owner }
        var ttl: Duration { partition.session.ttl }
        var partitions: UInt32 { partition.session.partitions }
    }

    /// A call that waits for its answer.
    struct Caller: Sendable {
        let name: LockName
        let isTry: Bool
        let deadline: ContinuousClock.Instant?
        /// By when the first session has to be open.
        var startupDeadline: ContinuousClock.Instant?
        let cancellation: Cancellation
        let answer: Answer
    }

    /// What comes from other threads.
    enum Command: Sendable {
        case want(UInt64, Caller)
        case request(UInt64, MarkCaller)
        /// For calls of both kinds.
        case giveUp(UInt64)
        case release(LeaseID, CheckedContinuation<Void, Never>)
        case look(Int32, Result<LogLook, LockError>)
        case shutdown(ContinuousClock.Instant)
    }

    private struct Inbox {
        var commands: [Command] = []
        var isRunning = false
        /// No more commands come in.
        var isClosed = false
        /// And all work is done.
        var hasEnded = false
        /// Calls that wait for the end.
        var ends: [CheckedContinuation<Void, Never>] = []

        /// - Returns: the calls that have waited for the end.
        mutating func end() -> [CheckedContinuation<Void, Never>] {
            (isClosed, hasEnded) = (true, true)
            defer { ends = [] }
            return ends
        }
    }

    /// A partition's state on the thread.
    struct Slot {
        var machine: LogPartition
        var proof: ProofOfLife?
        /// The reader's offset.
        var position: Int64?
        var isReading = false
    }

    let settings: Settings
    let clock: any LockClock
    let relay: ObserverRelay
    let follower: LogFollower
    let questions = BlockingQueue("log")
    private let inbox = Locked(Inbox())
    let health = LogHealth()
    // Used on the thread only.
    var writer: LogWriter
    var slots: [Int32: Slot] = [:]
    var callers: [UInt64: Caller] = [:]
    var markCallers: [UInt64: MarkCaller] = [:]
    var records: [UInt64: LeaseRecord] = [:]
    var attempts: [LeaseID: UInt64] = [:]
    var releases: [UInt64: CheckedContinuation<Void, Never>] = [:]
    var unreported: [UInt: (partition: Int32, number: UInt64)] = [:]
    var lastID: UInt = 0
    private(set) var drainUntil: ContinuousClock.Instant?

    init(_ settings: Settings, _ relay: ObserverRelay, clock: any LockClock) throws(LockError) {
        (self.settings, self.relay, self.clock) = (settings, relay, clock)
        follower = try LogFollower(settings.connection, topic: settings.topic, log: settings.log)
        writer = try LogWriter(settings.connection, topic: settings.topic, ttl: settings.ttl, log: settings.log)
    }

    // MARK: From any thread

    func want(_ attempt: UInt64, _ caller: Caller) {
        guard send(.want(attempt, caller), starts: true) else {
            caller.answer.resume(returning: .failure(LockError(.shutDown, "the provider was shut down")))
            return
        }
    }

    func giveUp(_ attempt: UInt64) { _ = send(.giveUp(attempt)) }

    /// Returns when all readers can see that the place is gone, or the session is gone.
    func release(_ id: LeaseID) async {
        await withCheckedContinuation { done in
            if !send(.release(id, done)) { done.resume() }
        }
    }

    /// Turns waiters away, lets holders release until the deadline, and ends. Returns when it has ended.
    func shutdown(until deadline: ContinuousClock.Instant) async {
        await withCheckedContinuation { done in
            let over: [CheckedContinuation<Void, Never>] = inbox.withLock { inbox in
                inbox.ends.append(done)
                guard inbox.isRunning, !inbox.hasEnded else { return inbox.end() }
                if !inbox.isClosed { inbox.commands.append(.shutdown(deadline)) }
                return []
            }
            for end in over { end.resume() }
            if over.isEmpty { follower.wake() }
        }
    }

    /// Returns at the end, or when cancelled.
    func ended() async {
        await withCheckedContinuation { done in
            let isOver = inbox.withLock { inbox in
                if !inbox.hasEnded { inbox.ends.append(done) }
                return inbox.hasEnded
            }
            if isOver { done.resume() }
        }
    }

    /// Asks the cluster whether a partition exists, and looks at it.
    func look(at partition: Int32) async -> Result<LogLook, LockError> {
        await withCheckedContinuation { answered in
            questions.start { [self] in ask(partition) { answered.resume(returning: $0) } }
        }
    }

    func send(_ command: Command, starts: Bool = false) -> Bool {
        let (isOpen, isNew) = inbox.withLock { inbox in
            guard !inbox.isClosed, inbox.isRunning || starts else { return (false, false) }
            inbox.commands.append(command)
            defer { inbox.isRunning = true }
            return (true, !inbox.isRunning)
        }
        if isNew {
            let status = DetachedThread.start { [self] in loop() }
            if status != 0 {
                let error = LockError(.unreachable, "no thread could be started for the lock log: errno \(status)")
                for command in takeCommands(closes: false) { refuse(command, error) }
            }
        }
        if isOpen { follower.wake() }
        return isOpen
    }

    /// - Parameter answer: gets the answer before the scout is gone, which takes a moment.
    func ask(_ partition: Int32, _ answer: (Result<LogLook, LockError>) -> Void) {
        do throws(LockError) {
            let scout = try LogFollower.scout(settings.connection, topic: settings.topic, log: settings.log)
            answer(ask(partition, scout))
        } catch {
            answer(.failure(error))
        }
    }

    private func ask(_ partition: Int32, _ scout: LogFollower) -> Result<LogLook, LockError> {
        let tail = settings.partition.session.tail
        do throws(KafkaFailure) {
            guard let (count, look) = try scout.look(at: partition, tail: tail, within: settings.requestTimeout) else {
                return .failure(
                    LockError(
                        .incompatible, "there is no topic \(settings.topic.escapedForDisplay); create it for the locks")
                )
            }
            guard settings.partitions <= count else {
                return .failure(
                    LockError(
                        .incompatible,
                        "the topic \(settings.topic.escapedForDisplay) has \(count) partitions, not \(settings.partitions)"
                    ))
            }
            return .success(look)
        } catch {
            return .failure(LockError(error, while: "asking for the lock log"))
        }
    }

    // MARK: The thread

    var moment: LogSession.Moment { LogSession.Moment(now: clock.now, wall: WallClock.now) }

    private func loop() {
        // Before anything is sent; it blocks nothing.
        if let exposure = settings.connection.exposure {
            relay.report(.warning, owner: settings.owner, at: clock.now, detail: exposure)
        }
        while true {
            turn()
            if isDrained { break }
        }
        for partition in slots.keys.sorted() { perform(partition) { $0.stop(at: $1) } }
        let commands = takeCommands(closes: true)
        for command in commands { refuse(command, LockError(.shutDown, "the provider was shut down")) }
        for (_, done) in releases { done.resume() }
        releases = [:]
        writer.finish(within: min(settings.ttl, .seconds(2)))
        for partition in slots.keys { follower.stop(partition) }
        relay.report(.stopped, owner: settings.owner, at: clock.now)
        for done in inbox.withLock({ $0.end() }) { done.resume() }
    }

    /// Commands that will never be performed, at the end or where there is no thread.
    private func takeCommands(closes: Bool) -> [Command] {
        inbox.withLock { inbox in
            if closes { inbox.isClosed = true } else { inbox.isRunning = false }
            defer { inbox.commands = [] }
            return inbox.commands
        }
    }

    private func turn() {
        let now = clock.now
        var wait = Duration.seconds(10)
        for slot in slots.values {
            if let deadline = slot.machine.deadline(at: now) { wait = min(wait, now.duration(to: deadline)) }
        }
        for case let deadline? in callers.values.map(deadline(of:)) + markCallers.values.map(deadline(of:)) {
            wait = min(wait, now.duration(to: deadline))
        }
        if let drainUntil { wait = min(wait, now.duration(to: drainUntil)) }
        // A failure is reported at the end of a record's time, which is the time of a proof.
        if !unreported.isEmpty { wait = min(wait, .seconds(1)) }
        var event = follower.poll(for: max(.zero, wait))
        // A long log does not keep commands waiting.
        for _ in 0..<1000 {
            guard let next = event else { break }
            handle(next)
            event = follower.poll(for: .zero)
        }
        if let event { handle(event) }
        takeReports()
        for command in inbox.withLock({ inbox in
            defer { inbox.commands = [] }
            return inbox.commands
        }) { handle(command) }
        // Without a second reference to their tables.
        let due = slots.filter { $0.value.machine.deadline(at: clock.now).map { $0 <= clock.now } ?? false }.map(\.key)
        for partition in due { perform(partition) { $0.tick(at: $1) } }
        timeOut()
    }

    private func handle(_ event: LogFollower.Event) {
        switch event {
        case .entry(let partition, let entry):
            slots[partition]?.position = entry.offset + 1
            perform(partition) { $0.read(entry, at: $1) }
        case .end(let partition, let offset): perform(partition) { $0.reachedEnd(offset, at: $1) }
        case .lostPlace(let partition): perform(partition) { $0.lostPlace(at: $1) }
        // The library recovers from temporary failures; any other ends the proof.
        case .failed(_, let failure): health.failed(LockError(failure, while: "reading the lock log"))
        }
    }

    private func handle(_ command: Command) {
        switch command {
        case .want(let attempt, var caller):
            caller.startupDeadline = startupDeadline
            guard !caller.cancellation.isCancelled else {
                caller.answer.resume(returning: .failure(.cancelled(caller.name)))
                return
            }
            callers[attempt] = caller
            perform(slot(for: caller.name)) {
                drainUntil == nil
                    ? $0.want(attempt, caller.name, isTry: caller.isTry, at: $1)
                    : [.failed(attempt, .shutDown, "the provider was shut down")]
            }
        case .request(let number, let caller): request(number, caller)
        case .giveUp(let attempt):
            if let caller = callers[attempt] { leave(attempt, caller, .cancelled(caller.name)) }
            if let caller = markCallers[attempt] { giveUpRequest(attempt, caller, caller.request.cancelled) }
        case .release(let id, let done):
            guard let attempt = attempts.removeValue(forKey: id), let record = records.removeValue(forKey: attempt)
            else {
                done.resume()
                return
            }
            releases[attempt] = done
            perform(partition(of: record.name)) { $0.leave(attempt, at: $1) }
        case .look(let partition, .success(let look)): perform(partition) { $0.answered(look, at: $1) }
        case .look(let partition, .failure(let error)):
            health.failed(error)
            let isFinal = [.accessRefused, .incompatible, .invalidConfiguration].contains(error.code)
            perform(partition) { $0.notAnswered(error.message, final: isFinal ? error.code : nil, at: $1) }
        case .shutdown(let deadline):
            drainUntil = min(drainUntil ?? deadline, deadline)
            for partition in slots.keys.sorted() { perform(partition) { $0.turnAway(at: $1) } }
        }
    }

    private func refuse(_ command: Command, _ error: LockError) {
        switch command {
        case .want(_, let caller): caller.answer.resume(returning: .failure(error))
        case .request(_, let caller): caller.answer.resume(returning: .failure(error))
        case .release(_, let done): done.resume()
        case .giveUp, .look, .shutdown: break
        }
    }

    private func takeReports() {
        for (id, failure) in writer.reports() {
            guard let (partition, number) = unreported.removeValue(forKey: id), failure != nil else { continue }
            perform(partition) { $0.failed(number, at: $1) }
        }
        guard let fatal = writer.fatalError else { return }
        health.failed(LockError(fatal, while: "writing to the lock log"))
        // Nothing that it was given will be written any more.
        let lost = unreported.values.sorted { $0.number < $1.number }
        unreported = [:]
        if let new = try? LogWriter(
            settings.connection, topic: settings.topic, ttl: settings.ttl, log: settings.log)
        {
            writer = new
        }
        for (partition, number) in lost { perform(partition) { $0.failed(number, at: $1) } }
    }

    private func deadline(of caller: Caller) -> ContinuousClock.Instant? {
        deadline(caller.deadline, caller.startupDeadline)
    }

    private func deadline(of caller: MarkCaller) -> ContinuousClock.Instant? {
        deadline(caller.deadline, caller.startupDeadline)
    }

    private func deadline(
        _ own: ContinuousClock.Instant?, _ startup: ContinuousClock.Instant?
    ) -> ContinuousClock.Instant? {
        [own, health.hasBeenOpen ? nil : startup].compactMap(\.self).min()
    }

    /// By when the first session has to be open, for a caller of now.
    var startupDeadline: ContinuousClock.Instant? { settings.startupTimeout.map { clock.now.after($0) } }

    private func timeOut() {
        let now = clock.now
        for (attempt, caller) in callers where deadline(of: caller).map({ $0 <= now }) ?? false {
            leave(attempt, caller, health.timedOut(caller.name))
        }
        for (number, caller) in markCallers where deadline(of: caller).map({ $0 <= now }) ?? false {
            giveUpRequest(number, caller, caller.request.overdue(health.lastError))
        }
    }

    private func leave(_ attempt: UInt64, _ caller: Caller, _ error: LockError) {
        callers[attempt] = nil
        perform(partition(of: caller.name)) { $0.leave(attempt, at: $1) }
        caller.answer.resume(returning: .failure(error))
    }

    private var isDrained: Bool {
        guard let drainUntil else { return false }
        let isOver = slots.values.allSatisfy { $0.machine.held.isEmpty && $0.machine.requests.isEmpty }
        return drainUntil <= clock.now || isOver && releases.isEmpty
    }

    func partition(of name: LockName) -> Int32 { Murmur2.partition(of: name.utf8, count: Int(settings.partitions)) }

    /// The partition of a name; it may be new to us.
    func slot(for name: LockName) -> Int32 {
        let partition = partition(of: name)
        if slots[partition] == nil { slots[partition] = Slot(machine: LogPartition(settings.partition)) }
        return partition
    }
}
