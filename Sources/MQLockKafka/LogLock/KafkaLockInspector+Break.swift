package import MQLock

extension KafkaLockInspector {
    /// The outcome of taking a lock away from its holder.
    package enum Taking: Sendable, Equatable {
        /// The holder has given up the lock.
        case yielded(LockContender)
        /// The holder's session was silent for longer than it can live, and is gone with all its locks.
        case expired(LockContender)
        /// Nobody holds the lock with that token.
        case notHeld
        /// The holder lives. It has been asked, and its work under the lock has not ended.
        case alive
        /// The holder has written nothing. If it stays silent, its session can be ended after this time.
        case silent(Duration)
    }

    /// Asks the holder with this token to give up the lock, like ``askToYield(_:token:within:)``. A session that is
    /// silent all that time is expired, if the time is long enough that the holder can no longer rely on its lease.
    /// - Parameter expires: whether to expire such a session.
    package func takeAway(
        _ name: LockName, token: FencingToken, within limit: Duration, expires: Bool = true
    ) async throws(LockError) -> Taking {
        let (settings, partition) = (settings, partition(of: name))
        return try await BlockingQueue("watch").run { cancellation throws(LockError) in
            let watch = try LogWatch(settings, partition)
            // The limit is the holder's. Before the holder is asked, a long log is read to its end.
            let table = try watch.catchUp(until: .now.after(max(limit, settings.requestTimeout)), cancellation)
            guard let line = table.lines[name], let place = line.places.first,
                let holder = table.contenders(for: name).first, holder.fencingToken == token
            else { return .notHeld }
            try Self.write(
                .yield(name, token: token.rawValue, from: settings.owner), settings, partition, above: table.highest)
            let deadline = ContinuousClock.now.after(limit)
            var isAlive = false
            var expired: Int64?
            while !cancellation.isCancelled {
                guard let session = watch.view?.table.sessions[place.session],
                    let heard = watch.view?.heard[place.session]
                else { return .notHeld }
                let (now, end) = (ContinuousClock.now, LogSession.silenceEnds(session, heard))
                if expires, now >= end, expired != session.last {
                    let highest = watch.view?.table.highest ?? table.highest
                    try Self.write(.expire(place.session, seen: session.last), settings, partition, above: highest)
                    expired = session.last
                }
                // A record that was just written gets at least a moment to be read.
                guard now < (expired == nil ? deadline : max(deadline, end.after(settings.requestTimeout))) else {
                    return isAlive ? .alive : .silent(max(.zero, now.duration(to: end)))
                }
                let slice = min(.milliseconds(200), max(.milliseconds(10), now.duration(to: deadline)))
                guard let change = try watch.next(until: now.after(slice)) else { continue }
                if change.record.provenSession == place.session { isAlive = true }
                guard change.after.lines[name]?.token != token.rawValue else { continue }
                if case .expire(place.session, _) = change.record.body { return .expired(holder) }
                return .yielded(holder)
            }
            throw LockError(.cancelled, "the question was cancelled")
        }
    }
}

extension LockTable {
    /// - Throws: `incompatible` when the log's sessions spread names over another number of partitions. The name would
    ///   then be looked for on the wrong one.
    func requireSpread(over partitions: UInt32) throws(LockError) {
        guard let other = sessions.values.first?.partitions, sessions.values.allSatisfy({ $0.partitions != partitions })
        else { return }
        throw LockError(
            .incompatible,
            "those who lock spread names over \(other) partitions, and \(partitions) are configured: name the same number"
        )
    }
}
