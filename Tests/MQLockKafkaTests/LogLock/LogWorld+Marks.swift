import MQLock

@testable import MQLockKafka

// Marks: whoever starts to read when the writing of one has returned sees it, and so does whoever holds the lock.
extension LogWorld {
    /// What a process has asked and not been answered.
    struct MarkCalls {
        /// With what has to be in the answer: how many had been written before.
        var reads: [UInt64: (name: LockName, written: Int)] = [:]
        var writes: [UInt64: (name: LockName, text: DoneText)] = [:]
        /// How many had been written when it began to read the log, and whether there was a state to start from.
        var writtenAtStart = 0
        var couldStart = false

        var isEmpty: Bool { reads.isEmpty && writes.isEmpty }
        var names: [LockName] { reads.values.map(\.name) + writes.values.map(\.name) }

        mutating func end(_ number: UInt64) { (reads[number], writes[number]) = (nil, nil) }
    }

    /// What has been written in all.
    struct MarkLedger {
        /// Those that are in the log with effect.
        var texts: [LockName: Set<DoneText>] = [:]
        /// Those of which a process knows that, in the order in which it has heard of it.
        var written: [(name: LockName, text: DoneText)] = []
        /// How many of them there were when somebody became first, by the token.
        var writtenAtGrant: [UInt64: Int] = [:]
        var seen = 0
        /// By those that have started from a snapshot.
        var seenFromSnapshots = 0
    }

    mutating func useMarks(_ index: Int) throws {
        guard !processes[index].isStopped else { return }
        let name = Self.names[pick(0...1)]
        if chance(40) { return try readMarks(index, of: name) }
        attempts += 1
        // Of a hold, or of one that was long ago.
        let held = processes[index].leases.values.first { $0.name == name }?.token
        let token = held ?? UInt64(pick(1...1000))
        let text = DoneText.number(attempts, token: token)
        let number = attempts
        processes[index].marks.writes[number] = (name, text)
        try perform(index) { $0.request(number, .write(name, text), at: $1) }
        if chance(10) { try giveUp(index, number) }
    }

    mutating func readMarks(_ index: Int, of name: LockName) throws {
        attempts += 1
        let number = attempts
        // Whoever holds the lock sees what was written before it was granted.
        let granted = processes[index].leases.values.first { $0.name == name && !$0.isLost }?.marksWritten
        processes[index].marks.reads[number] = (name, granted ?? 0)
        try perform(index) { $0.request(number, .read(name), at: $1) }
        if chance(10) { try giveUp(index, number) }
    }

    private mutating func giveUp(_ index: Int, _ number: UInt64) throws {
        processes[index].marks.end(number)
        try perform(index) { $0.giveUpRequest(number, at: $1) }
    }

    /// What is there now will have been read when the session is open.
    mutating func startsReading(_ index: Int) {
        processes[index].marks.writtenAtStart = marks.written.count
        processes[index].marks.couldStart =
            start == 0
            || complete.contains { wholeSnapshots.contains($0) && $0.asOf + 1 >= start && $0.asOf < log.count }
    }

    /// In the state that the whole log says.
    mutating func tookEffect(_ record: LogRecord, _ change: LockTable.Change) {
        for name in change.promoted {
            if let token = truth.lines[name]?.token { marks.writtenAtGrant[token] = marks.written.count }
        }
        if change.hasEffect, case .done(_, let name, let text) = record.body {
            marks.texts[name, default: []].insert(text)
        }
    }

    mutating func wroteMark(_ number: UInt64, _ index: Int) throws {
        guard let (name, text) = processes[index].marks.writes.removeValue(forKey: number) else {
            throw Violation(description: "a mark is said to be written that nobody writes")
        }
        guard marks.texts[name]?.contains(text) ?? false else {
            throw Violation(description: "a mark of \(name) is said to be written that is not in the log")
        }
        marks.written.append((name, text))
    }

    mutating func sawMarks(_ number: UInt64, _ seen: [DoneMark], _ index: Int) throws {
        guard let (name, granted) = processes[index].marks.reads.removeValue(forKey: number) else {
            throw Violation(description: "marks are told that nobody asks for")
        }
        guard let view = processes[index].machine.session?.view else {
            throw Violation(description: "marks are told without a session")
        }
        let all = Set((marks.texts[name] ?? []).compactMap(\.mark))
        guard seen.count <= DoneMarks.perName, all.isSuperset(of: seen) else {
            throw Violation(description: "marks of \(name) are told that are not there")
        }
        guard isWhole(view) else { return }
        let count = max(granted, processes[index].marks.writtenAtStart)
        let due = marks.written.prefix(count).filter { $0.name == name }.compactMap(\.text.mark)
        let least = seen.map(\.fencingToken).min()
        for mark in due where !seen.contains(mark) {
            // Only because of so many that come after it.
            guard seen.count == DoneMarks.perName, let least, mark.fencingToken <= least else {
                throw Violation(description: "a mark of \(name) is not seen that was written before: \(mark)")
            }
        }
        guard !due.isEmpty else { return }
        marks.seen += 1
        if view.startedFrom != nil { marks.seenFromSnapshots += 1 }
    }
}
