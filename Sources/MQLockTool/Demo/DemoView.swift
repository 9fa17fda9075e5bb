import MQLock
import MQLockTesting

/// What the audience sees: who holds the lock with which token, who waits, and the last events. Pure values.
struct DemoView {
    enum State: Equatable {
        case starting
        case waiting(since: UInt64)
        case holding(token: UInt64, since: UInt64)
        case between
        case ended
    }

    struct Worker: Equatable {
        let id: String
        var state = State.starting
        var isStopped = false
        var isDead = false
    }

    /// The kind of a line; a terminal shows each kind in its own color.
    enum Tone: Equatable { case plain, good, bad, notice }

    struct Line: Equatable {
        let at: UInt64
        let tone: Tone
        let text: String
    }

    let startedAt: UInt64
    private(set) var workers: [Worker] = []
    private(set) var lastLines: [Line] = []
    private let kept = 10

    init(startedAt: UInt64) { self.startedAt = startedAt }

    /// A worker that was started.
    mutating func add(_ id: String) { workers.append(Worker(id: id)) }

    /// A worker whose process has ended.
    mutating func ended(_ id: String) { change(id) { if !$0.isDead { $0.state = .ended } } }

    /// Processes an event; returns what to print about it, if anything.
    @discardableResult
    mutating func take(_ event: History.Event) -> Line? {
        let who = event.process
        switch event.kind {
        case .waiting: change(who) { $0.state = .waiting(since: event.at) }
        case .granted(let token):
            let waited = worker(who)?.waited(until: event.at)
            change(who) { $0.state = .holding(token: token, since: event.at) }
            return keep(event.at, .plain, "\(who) holds, token \(token)\(waited.map { ", waited \($0)" } ?? "")")
        case .ended(let cause, _):
            change(who) { $0.state = .between }
            guard case .lost(let reason) = cause else { return nil }
            return keep(event.at, .notice, "\(who) notices that it lost the lock: \(reason.escapedForDisplay)")
        case .gaveUp: change(who) { $0.state = .between }
        case .wrote(let token, true, _): return keep(event.at, .good, "\(who) wrote, token \(token)")
        case .wrote(let token, false, _): return keep(event.at, .bad, "\(who) was refused, token \(token)")
        case .processDied: change(who) { $0.isDead = true }
        case .processStopped: change(who) { $0.isStopped = true }
        case .processContinued: change(who) { $0.isStopped = false }
        case .brokerDown, .brokerUp: break
        }
        return nil
    }

    /// A message for the audience.
    mutating func say(_ text: String, _ tone: Tone = .notice, at: UInt64) -> Line { keep(at, tone, text) }

    /// The line as printed without a terminal.
    func text(_ line: Line) -> String { "\(time(line.at))  \(line.tone == .notice ? "* " : "  ")\(line.text)" }

    /// The whole view now.
    func screen(now: UInt64, lock: String) -> [(tone: Tone, text: String)] {
        var lines: [(tone: Tone, text: String)] = [
            (.notice, "mqlock demo: lock \(lock.escapedForDisplay), \(time(now).trimmed)")
        ]
        for worker in workers where !(worker.isDead && isLongGone(worker)) {
            let (tone, text) = worker.shown(now: now)
            lines.append((tone, "  \(worker.id.padded(to: 6))\(text)"))
        }
        return lines + [(.plain, "")] + lastLines.map { ($0.tone, text($0)) }
    }

    /// Dead workers make room for their replacements.
    private func isLongGone(_ worker: Worker) -> Bool {
        guard let index = workers.firstIndex(of: worker) else { return true }
        return workers.count - index > 6
    }

    private func worker(_ id: String) -> Worker? { workers.first { $0.id == id } }

    private mutating func change(_ id: String, _ body: (inout Worker) -> Void) {
        guard let index = workers.firstIndex(where: { $0.id == id }) else { return }
        body(&workers[index])
    }

    private mutating func keep(_ at: UInt64, _ tone: Tone, _ text: String) -> Line {
        let line = Line(at: at, tone: tone, text: text)
        lastLines.append(line)
        if lastLines.count > kept { lastLines.removeFirst() }
        return line
    }

    private func time(_ at: UInt64) -> String {
        let milliseconds = at > startedAt ? (at - startedAt) / 1_000_000 : 0
        let fraction = String(milliseconds % 1000)
        let text = "\(milliseconds / 1000).\(String(repeating: "0", count: 3 - fraction.count))\(fraction)"
        return String(repeating: " ", count: max(0, 7 - text.count)) + text + " s"
    }
}

extension DemoView.Worker {
    fileprivate func waited(until now: UInt64) -> String? {
        guard case .waiting(let since) = state, since <= now else { return nil }
        return Duration.nanoseconds(Int64(clamping: now - since)).readable
    }

    fileprivate func shown(now: UInt64) -> (DemoView.Tone, String) {
        if isDead { return (.bad, "killed") }
        let stop = isStopped ? ", stopped" : ""
        switch state {
        case .starting: return (.plain, "connecting")
        case .waiting: return (.plain, "waits \(waited(until: now) ?? "")\(stop)")
        case .holding(let token, _): return (isStopped ? .bad : .good, "HOLDS, token \(token)\(stop)")
        case .between: return (.plain, "between two turns\(stop)")
        case .ended: return (.plain, "ended")
        }
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
    fileprivate var trimmed: String { String(drop { $0 == " " }) }
}
