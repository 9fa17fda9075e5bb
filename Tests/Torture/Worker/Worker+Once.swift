import Foundation
import MQLock
import MQLockRabbitMQ

// Jobs that are done once in a period.
extension Worker {
    /// For each command `do NUMBER PLAN` does the job of this hour, by this process's clock, if nobody has: see ``OnceJob``.
    static func once(_ locks: RabbitMQLocks, _ name: LockName, _ commands: Commands) async throws {
        let job = OnceJob(journal: ProcessInfo.processInfo.environment["ONCE_JOURNAL"] ?? "")
        say("ready")
        while let command = await commands.next() {
            let words = command.split(separator: " ").map(String.init)
            guard words.count == 3 else { return say("unknown \(command)") }
            let (number, plan) = (words[1], words[2])
            say("over \(number) \(await job.run(number, plan, over: locks, name, for: .hour))")
        }
    }
}
