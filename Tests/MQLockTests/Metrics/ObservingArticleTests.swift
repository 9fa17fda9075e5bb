import Foundation
import MQLock
import Testing

/// The article's tables and alerts are about the metrics and events that there are.
@Suite struct ObservingArticleTests {
    @Test func theTableOfMetricsIsWhole() throws {
        let families = try PrometheusPage(LockMetrics().prometheusText()).families
        let rows = try ObservingArticle().rows(after: "Metrics")
        let told = rows.filter { $0.count == 4 }
        #expect(told.map { $0[0] }.sorted() == families.map(\.name).sorted())
        for row in told {
            #expect(families.first { $0.name == row[0] }?.type == row[1], "\(row[0])")
            #expect(!row[0].contains("_seconds") || row[2] == "seconds", "\(row[0])")
        }
    }

    @Test func theTableOfEventsIsWhole() throws {
        let told = try ObservingArticle().rows(after: "Events").map { $0[0] }
        #expect(told.sorted() == LockEvent.Kind.all.map(\.description).sorted())
    }

    @Test func alertsAskForMetricsThatThereAre() throws {
        let families = Set(try PrometheusPage(LockMetrics().prometheusText()).families.map(\.name))
        let asked = try ObservingArticle().rules.matches(of: /mqlock_[a-z_]+/).map { match in
            String(match.output).replacing(/_(bucket|sum|count)$/, with: "")
        }
        #expect(asked.count > 8 && asked.allSatisfy(families.contains), "\(asked)")
    }
}
