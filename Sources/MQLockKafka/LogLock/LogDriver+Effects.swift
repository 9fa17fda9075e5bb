import MQLock

// Performs what the machines decide. On the driver's thread only.
extension LogDriver {
    /// Each event gets an instant of its own, because the process may have been stopped between two events.
    func perform(_ partition: Int32, _ event: (inout LogPartition, LogSession.Moment) -> [LogPartition.Effect]) {
        // Removed, so that changing it makes no copy.
        guard var slot = slots.removeValue(forKey: partition) else { return }
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
                try? follower.learn(within: settings.requestTimeout)
                ask(partition) { _ = send(.look(partition, $0)) }
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
        case .marks(let number, let marks): answer(number, .success(marks))
        case .marked(let number): answer(number, .success([]))
        case .failed(let attempt, let code, let text):
            let caller = callers.removeValue(forKey: attempt)
            caller?.answer.resume(returning: .failure(LockError(code, text)))
            answer(attempt, .failure(LockError(code, text)))
        case .foreign(let offset):
            relay.report(
                .foreign, owner: settings.owner, at: clock.now,
                detail:
                    "the record at offset \(offset) of partition \(partition) is not of the lock log; it has no effect")
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
            // Another thread has seen the proof's end before us: then it is over, whatever has come since.
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
