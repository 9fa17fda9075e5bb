import MQLock

// Places in lines: which attempts are granted or refused, and which places no attempt has.
extension LogSession {
    /// A name has another first place.
    mutating func promoted(_ name: LockName) -> [Effect] {
        var effects: [Effect] = []
        let line = view.table.lines[name]
        let first = line?.places.first
        for (attempt, entry) in attempts where entry.name == name {
            let isFirst = first?.session == id && first?.attempt == attempt
            switch entry.state {
            // The proof is valid: overdue events were handled before.
            case .waiting where isFirst:
                guard let line, elders.isEmpty else { break }
                doubtful.remove(attempt)
                attempts[attempt]?.state = .held(line.token)
                effects.append(.granted(attempt, token: line.token))
            case .held where !isFirst:
                attempts[attempt] = nil
                effects.append(.lost(attempt))
            default: break
            }
        }
        return effects
    }

    /// What a record means for this session's attempts.
    mutating func settle(_ record: LogRecord, at moment: Moment) -> [Effect] {
        switch record.body {
        case .want(let session, let name, let attempt, _) where session == id:
            guard let entry = attempts[attempt] else {
                // Too late, or written twice: nothing else would ever release this place.
                guard hasPlace(attempt, name) else { return [] }
                return [writeLeave(attempt, Attempt(name: name, isTry: false, began: moment.now), at: moment)]
            }
            guard case .waiting = entry.state, entry.isTry else { return [] }
            return settleTry(attempt, at: moment)
        case .leave(let session, _, let attempt) where session == id:
            guard let entry = attempts[attempt], case .leaving = entry.state else { return [] }
            attempts[attempt] = nil
            return [.left(attempt)]
        case .yield(let name, let token, let from):
            return attempts.compactMap { attempt, entry in
                if entry.name == name, case .held(token) = entry.state {
                    .askedToYield(attempt, from: from)
                } else {
                    nil
                }
            }
        default: return []
        }
    }

    /// A try is refused only when it is certain that the first lives. A process that has just started cannot have
    /// noticed any session's silence yet, and if there were only tries, a dead holder would never be expired.
    mutating func settleTry(_ attempt: UInt64, at moment: Moment) -> [Effect] {
        guard let entry = attempts[attempt], case .waiting = entry.state, !hasPlace(attempt, entry.name) else {
            return []
        }
        guard let first = view.table.lines[entry.name]?.places.first else {
            guard doubtful.remove(attempt) != nil else { return [] }
            return [write(.want(id, entry.name, attempt: attempt, isTry: true), at: moment)]
        }
        guard first.session == id || isKnownToLive(first.session, since: entry.began, at: moment) else {
            doubtful.insert(attempt)
            return []
        }
        doubtful.remove(attempt)
        attempts[attempt] = nil
        return [.refused(attempt)]
    }

    func isKnownToLive(
        _ other: RandomID, since began: ContinuousClock.Instant, at moment: Moment
    ) -> Bool {
        guard let session = view.table.sessions[other], let heard = view.heard[other] else { return false }
        if heard.isFresh, heard.at >= began || heard.at.after(session.ttl) > moment.now { return true }
        return heard.timestamp > moment.wall - session.ttl.nanoseconds / 1_000_000
    }

    private func hasPlace(_ attempt: UInt64, _ name: LockName) -> Bool {
        view.table.lines[name]?.places.contains { $0.session == id && $0.attempt == attempt } ?? false
    }
}

// Snapshots for sessions that start later. The session with the smallest id writes them; if it does not, the others do.
extension LogSession {
    private var snapshotRank: Int { view.table.sessions.keys.count { $0 < id } }

    private var newestSnapshot: (asOf: Int64, at: ContinuousClock.Instant, size: Int) {
        guard let known = view.snapshot, known.name.asOf >= lastSnapshot.asOf else { return lastSnapshot }
        return (known.name.asOf, known.at, known.size)
    }

    /// How many records have about as many bytes as the newest snapshot.
    private var recordsOfItsSize: Int64 { Int64(newestSnapshot.size / LogRecord.usualSize) }

    var snapshotDue: ContinuousClock.Instant {
        let interval = recordsSinceSnapshot < recordsOfItsSize ? settings.snapshotAge : settings.snapshotInterval
        return newestSnapshot.at.after(interval + settings.snapshotInterval / 6 * min(snapshotRank, 1000))
    }

    var recordsSinceSnapshot: Int64 { view.table.next - 1 - newestSnapshot.asOf }

    var recordsPerSnapshot: Int64 {
        max(settings.snapshotRecords, recordsOfItsSize) * Int64(4 + snapshotRank) / 4
    }

    mutating func writeSnapshot(at moment: Moment) -> [Effect] {
        needsSnapshot = false
        lastSnapshot = (view.table.next - 1, moment.now, 0)
        guard view.table.next > 0 else { return [] }
        let chunks = LogSnapshot.chunks(of: view.table, id: id, size: settings.chunkSize)
        lastSnapshot.size = chunks.reduce(0) { $0 + $1.bytes.count }
        return chunks.map { write(.snapshot($0), at: moment) }
    }
}
