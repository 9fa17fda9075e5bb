import MQLock

// Questions to the cluster, which block: from any thread.
extension LogDriver {
    /// Asks the cluster whether a partition exists, and looks at it.
    func look(at partition: Int32) async -> Result<LogLook, LockError> {
        await withCheckedContinuation { answered in
            questions.start { [self] in ask(partition) { answered.resume(returning: $0) } }
        }
    }

    /// - Parameter answer: gets the answer before the scout is gone, which takes a moment.
    func ask(_ partition: Int32, _ answer: (Result<LogLook, LockError>) -> Void) {
        do throws(LockError) {
            let scout = try LogFollower.scout(settings.connection, topic: settings.topic, log: settings.log)
            answer(ask(partition, scout))
        } catch {
            answer(.failure(error))
        }
    }

    private func ask(_ partition: Int32, _ scout: LogFollower) -> Result<LogLook, LockError> {
        let tail = settings.partition.session.tail
        do throws(KafkaFailure) {
            guard let (count, look) = try scout.look(at: partition, tail: tail, within: settings.requestTimeout) else {
                return .failure(
                    LockError(
                        .incompatible, "there is no topic \(settings.topic.escapedForDisplay); create it for the locks")
                )
            }
            guard settings.partitions <= count else {
                return .failure(
                    LockError(
                        .incompatible,
                        "the topic \(settings.topic.escapedForDisplay) has \(count) partitions, not \(settings.partitions)"
                    ))
            }
            return .success(look)
        } catch {
            return .failure(LockError(error, while: "asking for the lock log"))
        }
    }
}
