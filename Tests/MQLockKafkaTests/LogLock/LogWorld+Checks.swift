import MQLock

@testable import MQLockKafka

// What the log lock promises, at every step.
extension LogWorld {
    func isValid(_ index: Int, _ name: LockName) -> Bool {
        guard let until = processes[index].provenUntil, moment(index).now < until else { return false }
        return processes[index].leases.values.contains { $0.name == name && !$0.isLost }
    }

    func check() throws {
        for name in Self.names where processes.indices.count(where: { isValid($0, name) }) > 1 {
            throw Violation(description: "\(name) is held by two")
        }
    }

    /// Who has started behind the first record, and not from a snapshot, has a state of its own, and so have those that start
    /// from its snapshots: without those that were dead by then.
    func isWhole(_ view: LogView) -> Bool {
        view.startedAtZero || view.startedFrom.map(wholeSnapshots.contains) ?? false
    }

    /// Whoever takes part in the log has the state that the whole log says, of everybody who lives.
    func compare(_ index: Int) throws {
        guard let session = processes[index].machine.session, session.end == nil else { return }
        let view = session.view
        guard view.table.next > 0 else { return }
        if !view.startedAtZero, view.startedFrom == nil, processes[index].marks.couldStart {
            throw Violation(description: "a reader has not seen a snapshot that is there")
        }
        if isWhole(view), view.table.hash != hashes[Int(view.table.next) - 1] {
            throw Violation(description: "a reader has another state than the log at \(view.table.next)")
        }
        guard view.table.next == log.count else { return }
        for (other, process) in processes.enumerated() {
            // One that was stopped may not know yet that it lives no longer.
            guard let id = process.machine.session?.id, truth.sessions[id] != nil,
                let until = process.provenUntil, moment(other).now < until
            else { continue }
            // Its places may be others: the whole log may have dead sessions before it that nobody knows any more.
            guard view.table.sessions[id]?.last == truth.sessions[id]?.last else {
                throw Violation(description: "a reader does not know a session that lives")
            }
        }
    }
}
