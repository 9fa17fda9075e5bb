/// Rule 9: the contenders of one process for one name form one first-come-first-served line, and only its head goes
/// to the broker.
package final class LocalArbiter: Sendable {
    /// The right to contend at the broker; ends by ``LocalArbiter/leave(_:heldUntil:)``.
    package struct Ticket: Sendable {
        package let name: LockName
        fileprivate let number: UInt64
        /// When the previous hold ended, if this one waited for a hold.
        package fileprivate(set) var freedAt: ContinuousClock.Instant?
    }

    private enum Turn { case yours(freedAt: ContinuousClock.Instant?), cancelled, timedOut }

    private struct Waiter {
        let ticket: Ticket
        let continuation: CheckedContinuation<Turn, Never>
    }

    private struct Line {
        var head: Ticket
        var waiting: [Waiter] = []
    }

    private struct Lines {
        var byName: [LockName: Line] = [:]
        var tickets: UInt64 = 0
        var waiters = 0

        mutating func nextTicket(_ name: LockName) -> Ticket {
            tickets += 1
            return Ticket(name: name, number: tickets)
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

    /// The right to contend, if no one in this process has it or waits for it.
    package func tryEnter(_ name: LockName) -> Ticket? {
        lines.withLock { lines in
            guard lines.byName[name] == nil else { return nil }
            let ticket = lines.nextTicket(name)
            lines.byName[name] = Line(head: ticket)
            return ticket
        }
    }

    /// Waits for the right to contend.
    package func enter(_ name: LockName, deadline: ContinuousClock.Instant?) async throws(LockError) -> Ticket {
        if let ticket = tryEnter(name) { return ticket }
        let ticket = lines.withLock { $0.nextTicket(name) }
        let timer = deadline.map { deadline in
            Task { [clock] in
                do { try await clock.sleep(until: deadline) } catch { return }
                self.giveUp(ticket, .timedOut)
            }
        }
        defer { timer?.cancel() }
        var overLimit = false
        let turn = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // A cancellation handler that ran before this finds no waiter, so the flag is checked here, under the
                // same lock; the same goes for the deadline.
                let at: Turn? = lines.withLock { lines in
                    guard lines.byName[name] != nil else {
                        lines.byName[name] = Line(head: ticket)
                        return .yours(freedAt: nil)
                    }
                    if Task.isCancelled { return .cancelled }
                    if let deadline, deadline <= clock.now { return .timedOut }
                    guard lines.waiters < maximumWaiters else {
                        overLimit = true
                        return .cancelled
                    }
                    lines.waiters += 1
                    lines.byName[name]?.waiting.append(Waiter(ticket: ticket, continuation: continuation))
                    return nil
                }
                if let at { continuation.resume(returning: at) }
            }
        } onCancel: {
            giveUp(ticket, .cancelled)
        }
        if overLimit {
            throw LockError(
                .limitExceeded,
                "\(maximumWaiters) contenders already wait for locks in this process; raise the limit or shed load")
        }
        switch turn {
        case .yours(let freedAt):
            var ticket = ticket
            ticket.freedAt = freedAt
            return ticket
        case .cancelled: throw .cancelled(name)
        case .timedOut: throw .timedOut(name, detail: "it was held or waited for in this process")
        }
    }

    /// Lets the next contender continue. Leaving twice does nothing.
    /// - Parameter end: when the hold ended, if there was one.
    package func leave(_ ticket: Ticket, heldUntil end: ContinuousClock.Instant? = nil) {
        let next: Waiter? = lines.withLock { lines in
            guard var line = lines.byName[ticket.name], line.head.number == ticket.number else { return nil }
            guard !line.waiting.isEmpty else {
                lines.byName[ticket.name] = nil
                return nil
            }
            let next = line.waiting.removeFirst()
            line.head = next.ticket
            lines.waiters -= 1
            lines.byName[ticket.name] = line
            return next
        }
        next?.continuation.resume(returning: .yours(freedAt: end))
    }

    private func giveUp(_ ticket: Ticket, _ turn: Turn) {
        let waiter: Waiter? = lines.withLock { lines in
            guard
                let index = lines.byName[ticket.name]?.waiting.firstIndex(where: { $0.ticket.number == ticket.number })
            else {
                return nil
            }
            lines.waiters -= 1
            return lines.byName[ticket.name]?.waiting.remove(at: index)
        }
        waiter?.continuation.resume(returning: turn)
    }
}
