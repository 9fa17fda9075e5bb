import Foundation
import MQLock

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// `mqlock`'s end of the pipes to its guard.
///
/// A thread of its own reads the guard's reports and sends it the deadlines. It must work even when every thread of the
/// language's pool is busy, because a late deadline looks to the guard like a dead `mqlock`.
final class GuardLink: Sendable {
    private struct State {
        var record: LeaseRecord?
        /// The deadline that the guard knows.
        var deadline: Int64 = 0
        /// The longest proof seen: how long a fresh renewal lasts.
        var span: Int64 = 0
        var isLosing = false
        /// Whether the guard has sent SIGKILL. Then it is not stuck, whatever else is.
        var isKilling = false
        var hasEnded = false
        var isClosed = false
    }

    private let control: Int32
    private let reports: Int32
    private let notice: Duration
    private let state = Locked(State())
    private let onEvent: @Sendable (RunMachine.Event) -> Void

    /// How long before the proof runs out the command is asked to end, unless `-k` says otherwise.
    private static let defaultNotice = Duration.seconds(1)
    /// How late a kill by the guard may be before the guard counts as stuck.
    private static let stuckAfter: Int64 = 500_000_000

    /// Starts the guard long before there is anything to guard. So a grant does not have to start a process, and the
    /// guard and the command cannot inherit descriptors of the session, which does not exist yet.
    /// - Parameter executable: the file to start as the guard; by default the running one.
    init(
        executable: String? = nil, path: String, arguments: Spawn.CStrings, environment: Spawn.CStrings,
        options: RunOptions, ignored: Set<Int32>, onEvent: @escaping @Sendable (RunMachine.Event) -> Void
    ) throws(CommandFailure) {
        guard let down = Spawn.pipe(), let up = Spawn.pipe() else {
            throw Self.failure("no pipe", errno)
        }
        let words = [
            "mqlock", CommandDescriptor.guardian.name, String(down.reading), String(up.writing),
            String(options.foreground ? getpgrp() : 0), path,
        ]
        guard let own = executable ?? OwnWords.executable else { throw Self.failure("where am I", ENOENT) }
        let spawn = Spawn(
            path: own, arguments: Spawn.strings(words).dropLast() + arguments,
            environment: environment, inherited: [down.reading, up.writing], ignored: ignored)
        let result = spawn()
        closeDescriptor(down.reading)
        closeDescriptor(up.writing)
        guard result > 0 else { throw Self.failure("cannot start the guard", -result) }
        // A guard that does not read must not make us wait: it would soon kill by its own clock.
        _ = fcntl(down.writing, F_SETFL, O_NONBLOCK)
        control = down.writing
        reports = up.reading
        notice = options.killAfter ?? Self.defaultNotice
        self.onEvent = onEvent
        Thread.detachNewThread { [self] in watch() }
    }

    private static func failure(_ what: String, _ code: Int32) -> CommandFailure {
        CommandFailure(status: ExitStatus.internalError, message: "\(what): \(Platform.message(code))")
    }

    // MARK: Sending

    func tell(_ message: GuardMessage) {
        // Under the lock, so that lines do not mix and a deadline cannot overtake the start.
        state.withLock { state in
            if case .lose = message { state.isLosing = true }
            if !state.isClosed { Platform.writeAll(message.line.utf8, to: control) }
        }
    }

    /// Runs the command under the lease. False when the proof has already run out; then nothing was started.
    func start(_ record: LeaseRecord) -> Bool {
        guard let until = record.validUntil else { return false }
        let deadline = BootClock.nanoseconds(until)
        state.withLock { state in
            state.record = record
            state.deadline = deadline
            state.span = deadline - BootClock.now
        }
        tell(.start(fence: record.token.description, deadline: deadline))
        return true
    }

    /// Until when the command may live after a loss: the rest of the proof that the guard knows, or `-k`.
    func killAt(after grace: Duration?) -> Int64 {
        let deadline = state.withLock { $0.deadline }
        return grace.map { min(deadline, BootClock.after($0)) } ?? deadline
    }

    /// Until when the lock is known to be ours. While it is held, this may be later than the guard knows.
    var provenUntil: Int64 {
        let (record, deadline) = state.withLock { ($0.record, $0.deadline) }
        return max(deadline, record?.validUntil.map(BootClock.nanoseconds) ?? deadline)
    }

    /// The command has ended: no more deadlines.
    func end() { state.withLock { $0.hasEnded = true } }

    /// Nothing is guarded any more. Closes the pipes and releases the guard, which kills what it may still have.
    func close() {
        state.withLock { state in
            state.hasEnded = true
            if !state.isClosed { closeDescriptor(control) }
            state.isClosed = true
        }
    }

    // MARK: The thread

    private func watch() {
        defer { closeDescriptor(reports) }
        var lines = LineBuffer()
        var buffer = [UInt8](repeating: 0, count: 1024)
        while true {
            var descriptor = pollfd(fd: reports, events: Int16(POLLIN), revents: 0)
            guard Platform.retrying({ poll(&descriptor, 1, timeout()) }) != 0 else {
                if !renew() { return onEvent(.guardGone) }
                continue
            }
            let count = Platform.retrying { read(reports, &buffer, buffer.count) }
            guard count > 0 else { return onEvent(.guardGone) }
            for line in lines.append(buffer.prefix(count)) {
                guard let report = GuardReport(line: line) else { continue }
                if report == .killing { state.withLock { $0.isKilling = true } }
                onEvent(.report(report))
            }
            _ = renew()
        }
    }

    private func timeout() -> Int32 {
        let (deadline, isGuarding) = state.withLock { ($0.deadline, $0.record != nil && !$0.hasEnded) }
        // Asleep until the guard reports that the command runs, which comes right after the start.
        guard isGuarding else { return -1 }
        let left = (deadline - BootClock.now) / 1_000_000
        return Int32(max(5, min(left / 20, 250)))
    }

    /// Sends a newer proof, or finds that none will come. False when the guard is stuck.
    private func renew() -> Bool {
        // Outside the lock: checking a proof that has run out marks the lease as lost. That calls our own loss handler,
        // which asks for the deadline.
        let record = state.withLock { $0.hasEnded ? nil : $0.record }
        guard let record else { return true }
        let until = record.validUntil.map(BootClock.nanoseconds)
        let event: RunMachine.Event? = state.withLock { state in
            guard !state.hasEnded, !state.isClosed else { return nil }
            let now = BootClock.now
            if state.isLosing {
                return now > state.deadline + Self.stuckAfter && !state.isKilling ? .guardGone : nil
            }
            // The conversion varies by microseconds; only a real renewal moves it by more.
            if let until, abs(until - state.deadline) > 1_000_000 {
                state.deadline = until
                state.span = max(state.span, until - now)
                Platform.writeAll(GuardMessage.deadline(until).line.utf8, to: control)
            }
            // Close to the end of the proof the command is asked to end while it still has time for that. At the end
            // itself there would only be time for SIGKILL.
            guard state.deadline - now <= min(notice.wholeNanoseconds, state.span / 4) else { return nil }
            let limited = record.limit.map { BootClock.nanoseconds($0) <= state.deadline + 1_000_000 } ?? false
            let reason = LossReason(limited ? .holdLimit : .proofOverdue)
            return .lost(reason: reason.description, killAt: state.deadline)
        }
        guard let event else { return true }
        if event == .guardGone { return false }
        onEvent(event)
        return true
    }
}

/// close(2); inside the link another function has this name.
private func closeDescriptor(_ descriptor: Int32) { close(descriptor) }
