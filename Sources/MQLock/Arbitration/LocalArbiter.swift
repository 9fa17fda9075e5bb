/// Rule 9: the contenders of one process for one name form one first-come-first-served line, and only its head goes
/// to the broker.
package final class LocalArbiter: Sendable {
    /// The right to contend at the broker; ends by ``LocalArbiter/leave(_:heldUntil:)``.
    package struct Ticket: Sendable {
        fileprivate let line: Line
        fileprivate let number: UInt64
        package var name: LockName { line.name }
    }

    fileprivate enum Turn { case yours(Ticket), cancelled, timedOut }

    fileprivate struct Waiter {
        let number: UInt64
        let continuation: CheckedContinuation<Turn, Never>
    }

    /// The contenders for one name; only touched while the lock of all lines is held.
    fileprivate final class Line: @unchecked Sendable {
        let name: LockName
        /// The number of the contender that goes to the broker.
        var head: UInt64?
        var waiting: [Waiter] = []
        /// When a hold ended that another contender waited for, and that contender's number.
        var freed: (at: CompactInstant, for: UInt64)?

        init(_ name: LockName) { self.name = name }
    }

    private struct Lines {
        /// Some of them are empty: a name is often used again.
        var byName: [LockName: Line] = [:]
        /// How many are not empty.
        var used = 0
        var contenders: UInt64 = 0
        var waiters = 0

        private static let maximumEmpty = 256

        mutating func line(_ name: LockName) -> Line {
            if let line = byName[name] { return line }
            if byName.count > 2 * used + Self.maximumEmpty { byName = byName.filter { $1.head != nil } }
            let line = Line(name)
            byName[name] = line
            return line
        }

        mutating func nextNumber() -> UInt64 {
            contenders += 1
            return contenders
        }

        /// The right to contend; nil while another contender has it.
        mutating func enter(_ line: Line, _ number: UInt64) -> Ticket? {
            guard line.head == nil else { return nil }
            line.head = number
            used += 1
            return Ticket(line: line, number: number)
        }
    }

    private let lines = Locked(Lines())
    private let clock: any LockClock
    private let maximumWaiters: Int

    /// - Parameter maximumWaiters: how many contenders may wait in this process, over all names.
    package init(clock: any LockClock, maximumWaiters: Int) {
        self.clock = clock
        self.maximumWaiters = maximumWaiters
    }

    /// How many contenders wait behind the heads of all lines.
    package var waiting: Int { lines.withLock { $0.waiters } }

    /// How many names it remembers.
    package var names: Int { lines.withLock { $0.byName.count } }

    /// The right to contend, if no one in this process has it or waits for it.
    package func tryEnter(_ name: LockName) -> Ticket? {
        lines.withLock { $0.enter($0.line(name), $0.nextNumber()) }
    }

    /// Waits for the right to contend.
    package func enter(_ name: LockName, deadline: ContinuousClock.Instant?) async throws(LockError) -> Ticket {
        if let ticket = tryEnter(name) { return ticket }
        let number = lines.withLock { $0.nextNumber() }
        let timer = deadline.map { deadline in
            Task { [clock] in
                do { try await clock.sleep(until: deadline) } catch { return }
                self.giveUp(name, number, .timedOut)
            }
        }
        defer { timer?.cancel() }
        var overLimit = false
        let turn = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // A cancellation handler that ran before this finds no waiter, so the flag is checked here, under the
                // same lock; the same goes for the deadline.
                let at: Turn? = lines.withLock { lines in
                    let line = lines.line(name)
                    if let ticket = lines.enter(line, number) { return .yours(ticket) }
                    if Task.isCancelled { return .cancelled }
                    if let deadline, deadline <= clock.now { return .timedOut }
                    guard lines.waiters < maximumWaiters else {
                        overLimit = true
                        return .cancelled
                    }
                    lines.waiters += 1
                    line.waiting.append(Waiter(number: number, continuation: continuation))
                    return nil
                }
                if let at { continuation.resume(returning: at) }
            }
        } onCancel: {
            giveUp(name, number, .cancelled)
        }
        if overLimit {
            throw LockError(
                .limitExceeded,
                "\(maximumWaiters) contenders already wait for locks in this process; raise the limit or shed load")
        }
        switch turn {
        case .yours(let ticket): return ticket
        case .cancelled: throw .cancelled(name)
        case .timedOut: throw .timedOut(name, detail: "it was held or waited for in this process")
        }
    }

    /// Lets the next contender continue. Leaving twice does nothing.
    /// - Parameter end: when the hold ended, if there was one.
    package func leave(_ ticket: Ticket, heldUntil end: CompactInstant? = nil) {
        let line = ticket.line
        let next: Waiter? = lines.withLock { lines in
            guard line.head == ticket.number else { return nil }
            guard !line.waiting.isEmpty else {
                line.head = nil
                lines.used -= 1
                return nil
            }
            let next = line.waiting.removeFirst()
            line.head = next.number
            line.freed = end.map { ($0, next.number) }
            lines.waiters -= 1
            return next
        }
        guard let next else { return }
        next.continuation.resume(returning: .yours(Ticket(line: line, number: next.number)))
    }

    /// When the previous hold ended, if this one waited for a hold.
    package func freedAt(_ ticket: Ticket) -> ContinuousClock.Instant? {
        lines.withLock { _ in ticket.line.freed.flatMap { $0.for == ticket.number ? $0.at : nil } }?.instant
    }

    private func giveUp(_ name: LockName, _ number: UInt64, _ turn: Turn) {
        let waiter: Waiter? = lines.withLock { lines in
            guard let line = lines.byName[name], let index = line.waiting.firstIndex(where: { $0.number == number })
            else { return nil }
            lines.waiters -= 1
            return line.waiting.remove(at: index)
        }
        waiter?.continuation.resume(returning: turn)
    }
}
