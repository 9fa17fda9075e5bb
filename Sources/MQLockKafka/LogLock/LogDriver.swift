import MQLock

/// Performs what the partitions' machines decide, on a thread of its own that runs no user code.
final class LogDriver: @unchecked Sendable {
    typealias Answer = CheckedContinuation<Result<LeaseRecord?, LockError>, Never>

    struct Settings: Sendable {
        var connection: KafkaConnection
        var topic: String
        var partition: LogPartition.Settings
        var requestTimeout: Duration
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
        let cancellation: Cancellation
        let answer: Answer
    }

    /// What comes from other threads.
    private enum Command: Sendable {
        case want(UInt64, Caller)
        case giveUp(UInt64)
        case release(LeaseID, CheckedContinuation<Void, Never>)
        case bounds(Int32, Result<Range<Int64>, LockError>)
        case shutdown(ContinuousClock.Instant)
    }

    private struct Inbox {
        var commands: [Command] = []
        var isRunning = false
        var isClosed = false
        /// Those that wait for the end.
        var ends: [CheckedContinuation<Void, Never>] = []
    }

    /// A partition, as the thread has it.
    private struct Slot {
        var machine: LogPartition
        var proof: ProofOfLife?
        /// The offset that the reader stands at.
        var position: Int64?
        var isReading = false
    }

    private let settings: Settings
    private let clock: any LockClock
    private let relay: ObserverRelay
    private let follower: LogFollower
    private let questions = BlockingQueue("log")
    private let inbox = Locked(Inbox())
    let health = LogHealth()
    // Used on the thread only.
    private var writer: LogWriter
    private var slots: [Int32: Slot] = [:]
    private var callers: [UInt64: Caller] = [:]
    private var records: [UInt64: LeaseRecord] = [:]
    private var attempts: [LeaseID: UInt64] = [:]
    private var releases: [UInt64: CheckedContinuation<Void, Never>] = [:]
    private var unreported: [UInt: (partition: Int32, number: UInt64)] = [:]
    private var lastID: UInt = 0
    private var drainUntil: ContinuousClock.Instant?

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

    /// Returns when all can see that the place is given up, or the session is gone.
    func release(_ id: LeaseID) async {
        await withCheckedContinuation { done in
            if !send(.release(id, done)) { done.resume() }
        }
    }

    /// Turns waiters away, gives holders until then, and ends. Returns when it has ended.
    func shutdown(until deadline: ContinuousClock.Instant) async {
        await withCheckedContinuation { done in
            let over: [CheckedContinuation<Void, Never>] = inbox.withLock { inbox in
                inbox.ends.append(done)
                guard inbox.isRunning, !inbox.isClosed else {
                    inbox.isClosed = true
                    defer { inbox.ends = [] }
                    return inbox.ends
                }
                inbox.commands.append(.shutdown(deadline))
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
                if !inbox.isClosed { inbox.ends.append(done) }
                return inbox.isClosed
            }
            if isOver { done.resume() }
        }
    }

    /// Asks the cluster whether a partition is there, and what there is of it.
    func bounds(of partition: Int32) async -> Result<Range<Int64>, LockError> {
        await questions.run { [self] _ in ask(partition) }
    }

    private func send(_ command: Command, starts: Bool = false) -> Bool {
        let (isOpen, isNew) = inbox.withLock { inbox in
            guard !inbox.isClosed, inbox.isRunning || starts else { return (false, false) }
            inbox.commands.append(command)
            defer { inbox.isRunning = true }
            return (true, !inbox.isRunning)
        }
        if isNew {
            let status = DetachedThread.start { [self] in loop() }
            if status != 0 { inbox.withLock { $0.isRunning = false } }
        }
        if isOpen { follower.wake() }
        return isOpen
    }

    private func ask(_ partition: Int32) -> Result<Range<Int64>, LockError> {
        do throws(KafkaFailure) {
            guard let (count, offsets) = try follower.bounds(partition, within: settings.requestTimeout) else {
                return .failure(
                    LockError(
                        .incompatible, "there is no topic \(settings.topic.escapedForDisplay); create it for the locks"))
            }
            guard settings.partitions <= count else {
                return .failure(
                    LockError(
                        .incompatible,
                        "the topic \(settings.topic.escapedForDisplay) has \(count) partitions, not \(settings.partitions)"))
            }
            return .success(offsets)
        } catch {
            return .failure(LockError(error, while: "asking for the lock log"))
        }
    }

    // MARK: The thread

    private var moment: LogSession.Moment { LogSession.Moment(now: clock.now, wall: WallClock.now) }

    private func loop() {
        while true {
            turn()
            if isDrained { break }
        }
        for partition in slots.keys.sorted() { perform(partition) { $0.stop(at: $1) } }
        let (ends, commands) = inbox.withLock { inbox in
            inbox.isClosed = true
            defer { (inbox.ends, inbox.commands) = ([], []) }
            return (inbox.ends, inbox.commands)
        }
        for command in commands { refuse(command) }
        for (_, done) in releases { done.resume() }
        releases = [:]
        writer.finish(within: min(settings.ttl, .seconds(2)))
        for partition in slots.keys { follower.stop(partition) }
        relay.report(.stopped, owner: settings.owner, at: clock.now)
        for done in ends { done.resume() }
    }

    private func turn() {
        let now = clock.now
        var wait = Duration.seconds(10)
        for slot in slots.values {
            if let deadline = slot.machine.deadline(at: now) { wait = min(wait, now.duration(to: deadline)) }
        }
        for caller in callers.values {
            if let deadline = caller.deadline { wait = min(wait, now.duration(to: deadline)) }
        }
        if let drainUntil { wait = min(wait, now.duration(to: drainUntil)) }
        // Failures are reported at the end of a record's time, which is that of a proof.
        if !unreported.isEmpty { wait = min(wait, .seconds(1)) }
        var event = follower.poll(for: max(.zero, wait))
        // Commands are not kept waiting by a log that is long.
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
        for (partition, slot) in slots where slot.machine.deadline(at: clock.now).map({ $0 <= clock.now }) ?? false {
            perform(partition) { $0.tick(at: $1) }
        }
        timeOut()
    }

    private func handle(_ event: LogFollower.Event) {
        switch event {
        case .entry(let partition, let entry):
            slots[partition]?.position = entry.offset + 1
            perform(partition) { $0.read(entry, at: $1) }
        case .end(let partition, let offset): perform(partition) { $0.reachedEnd(offset, at: $1) }
        case .lostPlace(let partition): perform(partition) { $0.lostPlace(at: $1) }
        // What passes by itself, the library mends; and what does not ends the proof.
        case .failed(_, let failure): health.failed(LockError(failure, while: "reading the lock log"))
        }
    }

    private func handle(_ command: Command) {
        switch command {
        case .want(let attempt, let caller):
            guard !caller.cancellation.isCancelled else {
                caller.answer.resume(returning: .failure(.cancelled(caller.name)))
                return
            }
            callers[attempt] = caller
            let partition = Murmur2.partition(of: caller.name.utf8, count: Int(settings.partitions))
            if slots[partition] == nil { slots[partition] = Slot(machine: LogPartition(settings.partition)) }
            perform(partition) {
                drainUntil == nil
                    ? $0.want(attempt, caller.name, isTry: caller.isTry, at: $1)
                    : [.failed(attempt, .shutDown, "the provider was shut down")]
            }
        case .giveUp(let attempt):
            guard let caller = callers[attempt] else { return }
            leave(attempt, caller, .cancelled(caller.name))
        case .release(let id, let done):
            guard let attempt = attempts.removeValue(forKey: id), let record = records.removeValue(forKey: attempt) else {
                done.resume()
                return
            }
            releases[attempt] = done
            perform(Murmur2.partition(of: record.name.utf8, count: Int(settings.partitions))) {
                $0.leave(attempt, at: $1)
            }
        case .bounds(let partition, .success(let offsets)): perform(partition) { $0.answered(offsets, at: $1) }
        case .bounds(let partition, .failure(let error)):
            health.failed(error)
            let isFinal = [.accessRefused, .incompatible, .invalidConfiguration].contains(error.code)
            perform(partition) { $0.notAnswered(error.message, final: isFinal ? error.code : nil, at: $1) }
        case .shutdown(let deadline):
            drainUntil = min(drainUntil ?? deadline, deadline)
            for partition in slots.keys.sorted() { perform(partition) { $0.turnAway(at: $1) } }
        }
    }

    private func refuse(_ command: Command) {
        switch command {
        case .want(_, let caller):
            caller.answer.resume(returning: .failure(LockError(.shutDown, "the provider was shut down")))
        case .release(_, let done): done.resume()
        case .giveUp, .bounds, .shutdown: break
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

    private func timeOut() {
        let now = clock.now
        for (attempt, caller) in callers where caller.deadline.map({ $0 <= now }) ?? false {
            leave(attempt, caller, health.timedOut(caller.name))
        }
    }

    private func leave(_ attempt: UInt64, _ caller: Caller, _ error: LockError) {
        callers[attempt] = nil
        perform(Murmur2.partition(of: caller.name.utf8, count: Int(settings.partitions))) {
            $0.leave(attempt, at: $1)
        }
        caller.answer.resume(returning: .failure(error))
    }

    private var isDrained: Bool {
        guard let drainUntil else { return false }
        return drainUntil <= clock.now || slots.values.allSatisfy { $0.machine.held.isEmpty } && releases.isEmpty
    }

    // MARK: Performing

    /// Each event gets an instant of its own: what comes after a stop of the process is of another time.
    private func perform(_ partition: Int32, _ event: (inout LogPartition, LogSession.Moment) -> [LogPartition.Effect]) {
        guard var slot = slots[partition] else { return }
        let effects = event(&slot.machine, moment)
        slots[partition] = slot
        for effect in effects { perform(effect, partition) }
    }

    private func perform(_ effect: LogPartition.Effect, _ partition: Int32) {
        switch effect {
        case .ask:
            relay.report(.connecting, owner: settings.owner, at: clock.now)
            questions.start { [self, writer] in
                try? writer.learn(within: settings.requestTimeout)
                _ = send(.bounds(partition, ask(partition)))
            }
        case .seek(let offset): follow(partition, from: offset)
        case .stopReading:
            follower.stop(partition)
            slots[partition]?.isReading = false
        case .write(let record): write(record, partition)
        case .proven(let until, let sentAt): prove(until, sentAt, partition)
        case .suspect(let isSuspect): suspect(isSuspect, partition)
        case .granted(let attempt, let token): grant(attempt, token, partition)
        case .refused(let attempt): callers.removeValue(forKey: attempt)?.answer.resume(returning: .success(nil))
        case .left(let attempt): releases.removeValue(forKey: attempt)?.resume()
        case .lost(let attempt, let reason): records[attempt]?.lose(reason)
        case .failed(let attempt, let code, let text):
            let caller = callers.removeValue(forKey: attempt)
            caller?.answer.resume(returning: .failure(LockError(code, text)))
        case .foreign(let offset):
            relay.report(
                .stranger, owner: settings.owner, at: clock.now,
                detail: "the record at offset \(offset) of partition \(partition) is not of the lock log; it has no effect")
        case .ended(let reason):
            slots[partition]?.proof?.end()
            slots[partition]?.proof = nil
            health.closed(partition, reason)
            relay.report(.disconnected, owner: settings.owner, at: clock.now, reason: reason)
        case .notStarted(let text):
            relay.report(.connectionFailed, owner: settings.owner, at: clock.now, detail: text)
        }
    }

    private func follow(_ partition: Int32, from offset: Int64) {
        guard slots[partition]?.isReading != true || slots[partition]?.position != offset else { return }
        do throws(KafkaFailure) {
            try follower.follow(partition, from: offset)
            slots[partition]?.isReading = true
            slots[partition]?.position = offset
        } catch {
            health.failed(LockError(error, while: "reading the lock log"))
            perform(partition) { $0.lostPlace(at: $1) }
        }
    }

    private func write(_ record: LogRecord, _ partition: Int32) {
        lastID += 1
        do throws(KafkaFailure) {
            try writer.write(record, to: partition, id: lastID)
            unreported[lastID] = (partition, record.number)
        } catch {
            health.failed(LockError(error, while: "writing to the lock log"))
            perform(partition) { $0.failed(record.number, at: $1) }
        }
    }

    private func prove(_ until: ContinuousClock.Instant, _ sentAt: ContinuousClock.Instant, _ partition: Int32) {
        let now = clock.now
        if let proof = slots[partition]?.proof {
            // Somebody has looked after its end, and before us: then it is over, whatever has come since.
            guard proof.extend(to: until) else { return perform(partition) { $0.proofEnded(at: $1) } }
        } else {
            slots[partition]?.proof = ProofOfLife(until: until, clock: clock)
            health.opened(partition, slots[partition]?.machine.session?.id)
            relay.report(.connected, owner: settings.owner, at: now)
        }
        relay.report(
            .renewed, owner: settings.owner, at: now, roundTrip: sentAt.duration(to: now),
            proven: now.duration(to: until))
    }

    private func suspect(_ isSuspect: Bool, _ partition: Int32) {
        for attempt in slots[partition]?.machine.held ?? [] {
            guard let record = records[attempt], record.setSuspect(isSuspect), isSuspect else { continue }
            relay.report(.suspect, owner: settings.owner, of: record, at: clock.now)
        }
    }

    private func grant(_ attempt: UInt64, _ number: UInt64, _ partition: Int32) {
        guard let caller = callers.removeValue(forKey: attempt) else {
            return perform(partition) { $0.leave(attempt, at: $1) }
        }
        guard let proof = slots[partition]?.proof else {
            // Granted by a session that has ended at the same instant: it stands in line again.
            perform(partition) { $0.leave(attempt, at: $1) }
            callers[attempt] = caller
            return perform(partition) { $0.want(attempt, caller.name, isTry: caller.isTry, at: $1) }
        }
        guard let token = FencingToken(rawValue: number) else {
            perform(partition) { $0.leave(attempt, at: $1) }
            let error = LockError(.tokenRegression, "the log has used its numbers up; create the topic anew")
            return caller.answer.resume(returning: .failure(error))
        }
        let record = LeaseRecord(name: caller.name, token: token, owner: settings.owner, proof: proof)
        records[attempt] = record
        attempts[record.id] = attempt
        caller.answer.resume(returning: .success(record))
    }
}

/// How the sessions are, for whoever asks.
final class LogHealth: Sendable {
    private struct State {
        var open: [Int32: RandomID] = [:]
        var hasBeenOpen = false
        var error: LockError?
    }

    private let state = Locked(State())

    func opened(_ partition: Int32, _ session: RandomID?) {
        state.withLock {
            $0.open[partition] = session
            ($0.hasBeenOpen, $0.error) = (true, nil)
        }
    }

    func closed(_ partition: Int32, _ reason: LossReason) {
        state.withLock {
            $0.open[partition] = nil
            guard reason.kind != .shutdown else { return }
            $0.error = $0.error ?? LockError(.unreachable, "the session has ended: \(reason)")
        }
    }

    func failed(_ error: LockError) { state.withLock { $0.error = error } }

    /// The sessions that stand, by partition.
    var sessions: [Int32: RandomID] { state.withLock { $0.open } }
    var isConnected: Bool { state.withLock { !$0.open.isEmpty } }
    var lastError: LockError? { state.withLock { $0.open.isEmpty ? $0.error : nil } }

    /// What a wait came to whose time is over.
    func timedOut(_ name: LockName) -> LockError {
        let (hasBeenOpen, error) = state.withLock { ($0.hasBeenOpen, $0.error) }
        guard !hasBeenOpen else { return .timedOut(name) }
        return LockError(
            .unreachable, "no session with the lock log came up in time: \(error?.message ?? "no broker has answered")",
            underlying: error)
    }
}
