import Foundation
import MQLockTesting

/// A worker's messages to its parent, one line of JSON each: events of the history, and notes.
enum DemoMessage: Equatable {
    case event(History.Event)
    case note(DemoNote)

    /// Reads a line; nil when it is neither.
    init?(line: String) {
        if let event = try? History.Event(line: line) {
            self = .event(event)
        } else if let note = try? JSONDecoder().decode(DemoNote.self, from: Data(line.utf8)) {
            self = .note(note)
        } else {
            return nil
        }
    }
}

/// A message that does not belong to the history.
enum DemoNote: Codable, Equatable {
    /// "I am in the critical section. May I write?" The worker stays there until the parent answers.
    case mayWrite(token: UInt64)
    /// The shared file shows another worker in the critical section.
    case met(DemoMeeting)
    /// The worker gives up.
    case failed(code: String, message: String)

    /// The note as a line.
    var line: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Numbers and strings only: the encoder cannot fail.
        return ((try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "") + "\n"
    }
}

/// One worker's view of another in the critical section.
struct DemoMeeting: Codable, Hashable {
    /// When, in nanoseconds of `HistoryClock`.
    var at: UInt64
    /// Who saw it.
    var process: String
    /// Whose mark is in the shared file.
    var other: String
    /// The token with which it entered.
    var token: UInt64
}

extension DemoMeeting {
    /// The meetings without an explanation. A crash leaves exactly this: a mark whose maker was dead, stopped, or
    /// without its lease by then.
    static func unexplained(_ meetings: [DemoMeeting], by events: [History.Event]) -> [DemoMeeting] {
        meetings.filter { meeting in
            let others = events.filter { $0.process == meeting.other }
            guard let grant = others.firstIndex(where: { $0.kind == .granted(token: meeting.token) }) else {
                return true
            }
            for event in others[grant...] {
                switch event.kind {
                case .ended(_, let validUntil): return validUntil > meeting.at
                case .processDied, .processStopped: if event.at <= meeting.at { return false }
                default: continue
                }
            }
            return true
        }
    }
}
