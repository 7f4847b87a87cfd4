"""The list of what can be wrong with what a user gives, and where each entry is tested.

The matrix is in ``tests/bad_input``: it goes through the command line, on every command that an
entry concerns, and asserts the whole message, the exit code, and that no file has changed. Tests of
single rooms and commands that look at an entry more closely are named beside it.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
EVERY = "*"  # every test of a file
LIST = {
    "missing file": (
        "bad_input/test_tables.py::test_a_missing_table_of_the_competition",
        "bad_input/test_tables.py::test_a_missing_file_that_was_named",
        "bad_input/test_names.py::test_a_competition_that_is_not_there",
        "bad_input/test_names.py::test_a_folder_without_a_competition",
        "test_tables.py::test_a_missing_file_is_named",
    ),
    "a grade outside the range, or without an order": (
        "commands/test_grades_and_numbers.py::test_a_grade_outside_the_range_is_named",
        "commands/test_grades_and_numbers.py::test_grades_in_words_need_their_order",
    ),
    "a number that is no number": (
        "commands/test_grades_and_numbers.py::test_a_number_that_is_no_number_is_named",
        "commands/test_grades_and_numbers.py::test_numbers_that_are_all_equal_are_refused",
        "commands/test_grades_and_numbers.py::test_classes_of_numbers_are_refused",
        "commands/test_grades_and_numbers.py::"
        "test_what_has_no_meaning_is_refused_by_the_name_of_the_task",
    ),
    "empty CSV; header only": (
        "bad_input/test_tables.py::test_a_table_that_is_none",
        "bad_input/test_predictions.py::test_predictions_that_are_no_probabilities",
        "test_tables.py::test_bytes_that_are_no_table_are_refused",
    ),
    "missing id or path column": (
        "bad_input/test_tables.py::test_a_missing_id_column",
        "bad_input/test_tables.py::test_a_missing_path_column",
        "bad_input/test_tables.py::test_a_missing_label_column",
        "test_samples.py::test_a_missing_column_is_named",
    ),
    "duplicate id": (
        "bad_input/test_tables.py::test_an_id_that_is_there_twice_or_blank",
        "bad_input/test_predictions.py::test_predictions_that_are_no_probabilities",
        "evaluation/test_scoring.py::test_a_submission_that_cannot_be_graded_is_told_why",
    ),
    "unreadable, truncated, zero-byte image": (
        "bad_input/test_images.py::test_a_damaged_image_to_be_predicted",
        "bad_input/test_images.py::test_inspect_says_of_a_damaged_image_what_the_others_say",
        "bad_input/test_images.py::test_images_of_more_pixels_than_asked_for",
        "bad_input/test_images.py::"
        "test_a_damaged_image_to_be_trained_on_is_named_and_training_goes_on_when_it_is_mended",
        "bad_input/test_images.py::"
        "test_a_damaged_image_among_those_that_are_looked_at_first_stops_training_before_it",
        "bad_input/test_images.py::test_a_folder_in_the_place_of_an_image",
        "bad_input/test_images.py::test_an_image_that_is_not_there",
        "data/test_images.py::test_what_is_no_image_is_named",
    ),
    "image path outside the data folder or absolute": (
        "bad_input/test_images.py::test_a_path_out_of_the_data_folder",
        "test_samples.py::test_dots_that_stay_inside_are_kept",
    ),
    "class in validation that training lacks": (
        "bad_input/test_classes.py::test_a_class_in_validation_that_training_lacks",
        "training/test_rows.py::test_a_validated_class_that_training_lacks_is_named",
    ),
    "one class only": (
        "bad_input/test_classes.py::test_one_class_only",
        "bad_input/test_classes.py::test_one_class_in_the_folds",
    ),
    "a class with one sample": (
        "bad_input/test_classes.py::test_a_class_with_one_sample_is_always_trained_on",
        "bad_input/test_classes.py::test_a_class_with_one_sample_cannot_be_balanced_down_to",
        "bad_input/test_classes.py::test_nothing_but_classes_of_one_sample",
    ),
    "NaN, negative, > 1 or logit predictions": (
        "bad_input/test_predictions.py::test_predictions_that_are_no_probabilities",
        "test_tables.py::test_wrong_predictions_are_named_by_place_and_value",
    ),
    "predictions with other ids, other class order, extra columns": (
        "bad_input/test_predictions.py::test_other_ids",
        "bad_input/test_predictions.py::test_fewer_ids",
        "bad_input/test_predictions.py::test_other_classes_or_another_order",
        "bad_input/test_predictions.py::test_predictions_that_are_no_probabilities",
        "bad_input/test_predictions.py::test_ids_alone",
        "commands/test_ensemble.py::test_files_that_do_not_match_are_refused",
    ),
    "sample submission with other ids": (
        "bad_input/test_predictions.py::test_another_sample_submission",
        "bad_input/test_predictions.py::test_a_submission_in_another_order_than_the_sample",
        "bad_input/test_predictions.py::test_a_submission_with_a_class_that_there_is_not",
    ),
    "checkpoint of another task or class list": (
        "bad_input/test_checkpoints.py::test_a_checkpoint_of_another_competition",
        "bad_input/test_checkpoints.py::test_a_run_does_not_start_from_one_of_another_competition",
        "commands/test_infer.py::test_runs_that_cannot_be_averaged_are_named",
    ),
    "corrupt or truncated checkpoint": (
        "bad_input/test_checkpoints.py::test_a_damaged_checkpoint",
        "bad_input/test_checkpoints.py::test_weights_of_someone_else",
        "bad_input/test_checkpoints.py::test_a_damaged_training_state",
        "bad_input/test_checkpoints.py::test_tensors_that_contradict_their_file",
        "bad_input/test_checkpoints.py::test_a_header_longer_than_the_file",
        "bad_input/test_checkpoints.py::test_damaged_checkpoints_are_one_sentence",
        "bad_input/test_checkpoints.py::test_damaged_training_states_are_one_sentence",
    ),
    "a header or a training state made by hand": (
        "bad_input/test_headers.py::test_a_header_made_by_hand",
        "bad_input/test_headers.py::test_options_of_a_model_made_by_hand",
        "bad_input/test_headers.py::test_what_only_a_prediction_needs",
        "bad_input/test_headers.py::test_a_header_that_is_no_header",
        "bad_input/test_headers.py::test_a_training_state_made_by_hand",
    ),
    "a checkpoint that reaches for the network": (
        "bad_input/test_headers.py::test_the_guard_sees_a_download",
        "bad_input/test_headers.py::test_no_checkpoint_reaches_for_the_network",
        "bad_input/test_headers.py::test_a_prior_does_not_reach_for_the_network",
    ),
    "a document that is too large, too deep, or repeats a key": (
        "test_documents.py::test_json_that_is_not_read",
        "test_documents.py::test_toml_that_is_not_read",
        "test_documents.py::test_a_table_of_two_gigabytes_is_refused_before_it_is_read",
    ),
    "a record that names an unknown task, is damaged, or contradicts a variable": (
        "bad_input/test_headers.py::test_an_unknown_task_of_a_record",
        "bad_input/test_headers.py::test_a_variable_that_contradicts_is_named",
        "bad_input/test_headers.py::test_a_damaged_record_of_a_run_is_told",
        "bad_input/test_headers.py::"
        "test_a_folded_run_with_a_damaged_record_is_not_taken_for_finished",
    ),
    "code that came with a checkpoint": (
        "bad_input/test_headers.py::test_code_that_came_with_a_checkpoint_is_not_run",
    ),
    "a pickle that would run code": (
        "bad_input/test_checkpoints.py::test_the_poison_works",
        "bad_input/test_checkpoints.py::test_code_in_a_checkpoint_does_not_run",
        "bad_input/test_checkpoints.py::test_code_in_a_training_state_does_not_run",
        "bad_input/test_checkpoints.py::test_code_in_pretrained_weights_does_not_run",
    ),
    "unknown model, loss, option or config key": (
        "bad_input/test_names.py::test_an_unknown_name",
        "bad_input/test_names.py::test_an_unknown_run",
        "bad_input/test_names.py::test_an_unknown_option_is_told_by_the_parser",
        "bad_input/test_names.py::test_an_unknown_key_of_the_competition",
        "bad_input/test_names.py::test_a_wrong_entry_of_the_competition",
    ),
    "output exists": (
        "bad_input/test_places.py::test_an_output_that_exists",
        "bad_input/test_places.py::test_a_run_that_exists",
        "bad_input/test_places.py::test_a_practice_competition_that_exists",
        "bad_input/test_places.py::test_an_output_that_cannot_be",
    ),
    "read-only output folder": (
        "bad_input/test_places.py::test_a_folder_that_is_read_only",
        "commands/test_simulate_stopped.py::test_a_read_only_disk_is_told_before_anything_is_drawn",
    ),
    "disk full while writing": (
        "bad_input/test_places.py::test_a_full_disk_changes_nothing",
        "bad_input/test_places.py::test_training_on_a_full_disk_leaves_nothing",
        "bad_input/test_places.py::"
        "test_a_disk_that_fills_up_during_training_leaves_a_run_that_goes_on",
        "commands/test_simulate_stopped.py::test_a_full_disk_is_told_and_leaves_it_as_it_was",
        "test_tables.py::test_a_full_disk_is_told_and_the_old_file_stays",
    ),
    "Ctrl-C and kill -9 during training": (
        "commands/test_train_stopped.py::test_ctrl_c_saves_says_how_to_go_on_and_resumes_to_the_same_bits",
        "commands/test_train_stopped.py::"
        "test_kill_9_leaves_nothing_half_written_and_resumes_to_the_same_bits",
        "bad_input/test_interruptions.py::"
        "test_kill_9_while_a_run_writes_is_resumed_to_the_same_weights",
    ),
    "Ctrl-C and kill -9 during a write": (
        "bad_input/test_interruptions.py::test_ctrl_c_during_a_write_changes_nothing",
        "bad_input/test_moments.py::test_a_command_that_writes_a_table",
        "bad_input/test_moments.py::test_a_training",
        "bad_input/test_moments.py::test_help",
        "bad_input/test_interruptions.py::test_kill_9_during_a_write_leaves_what_was_there",
        "bad_input/test_interruptions.py::test_a_prediction_that_is_interrupted_leaves_nothing",
        "commands/test_simulate_stopped.py::test_an_interruption_leaves_no_half_folder_and_no_process",
        "test_tables.py::test_kill_9_during_a_write_leaves_the_old_file",
        "test_outputs.py::test_kill_9_before_the_end_leaves_what_was_there",
    ),
    "batch size 1; batch larger than the data": (
        "bad_input/test_accepted.py::test_batches_of_one_and_beyond_the_data_predict_the_same",
        "bad_input/test_accepted.py::test_a_batch_beyond_the_data_trains_on_all_of_it",
        "bad_input/test_accepted.py::"
        "test_batches_of_one_are_refused_where_they_cannot_learn_and_train_elsewhere",
    ),
    "CSV with a BOM, CRLF, quoted commas, ids 007, 1e5, NA, Unicode": (
        "bad_input/test_accepted.py::"
        "test_awkward_ids_in_a_csv_with_bom_and_crlf_survive_the_whole_chain",
        "bad_input/test_accepted.py::test_awkward_class_names_survive_the_whole_chain",
        "test_tables.py::test_awkward_ids_survive_a_table",
        "test_predictions.py::test_predictions_read_back_to_the_last_bit",
    ),
    "label values other than 0, 1, -1 and blank": (
        "bad_input/test_several_labels.py::test_a_label_that_is_none",
        "test_label_matrix.py::test_another_value_is_named_with_its_row_and_column",
    ),
    "a class column absent in one of two tables or in another order": (
        "bad_input/test_several_labels.py::test_class_columns_in_another_order",
        "bad_input/test_several_labels.py::test_a_class_column_that_is_absent",
        "inference/test_multilabel.py::test_a_run_whose_classes_are_in_another_order_is_refused",
        "detection/test_labels.py::test_a_class_that_the_training_table_lacks_is_named",
    ),
    "class names with blanks, slashes, commas, Unicode; duplicate class names": (
        "bad_input/test_several_labels.py::"
        "test_awkward_classes_and_unknown_cells_survive_the_whole_chain",
        "bad_input/test_several_labels.py::test_lists_of_labels_go_through_the_whole_chain",
        "bad_input/test_several_labels.py::test_a_class_column_that_is_there_twice",
        "submission/test_lists.py::test_a_class_with_a_comma_in_its_name_cannot_be_listed",
    ),
    "a class without any positive; a row without a known cell": (
        "bad_input/test_several_labels.py::"
        "test_awkward_classes_and_unknown_cells_survive_the_whole_chain",
        "evaluation/test_label_scoring.py::"
        "test_unknown_cells_and_classes_without_a_positive_count_nowhere",
        "training/test_multilabel_rows.py::"
        "test_a_class_without_a_positive_is_said_and_left_out_of_the_metric",
        "training/test_multilabel_rows.py::test_rows_without_an_annotated_cell_are_said",
    ),
    "a prior of other classes; corrections of unknown ids": (
        "training/test_multilabel_losses.py::test_a_prior_of_something_else_is_refused",
        "evaluation/test_label_corrections.py::test_a_correction_that_cannot_be_followed_is_refused",
        "commands/test_split_corrections.py::test_wrong_corrections_are_refused",
        "commands/test_review_classes.py::test_wrong_corrections_are_refused",
    ),
    "out-of-fold rows with missing or repeated ids, another class order, a fold validated twice, "
    "constant predictions, leaks": (
        "commands/test_bad_evidence.py::test_rows_that_are_no_evidence",
        "commands/test_tta_search.py::"
        "test_what_cannot_be_searched_is_refused_and_nothing_is_written",
        "evaluation/test_out_of_fold.py::test_missing_rows_are_named",
    ),
    "members trained on each other's validation rows": (
        "commands/test_bad_evidence.py::"
        "test_members_that_were_trained_on_one_anothers_validation_rows",
        "commands/test_ensemble_search.py::test_members_of_other_folds_are_refused",
    ),
    "a class absent from the out-of-fold rows": (
        "commands/test_bad_evidence.py::test_a_class_that_no_out_of_fold_row_is_of",
    ),
    "priors that do not sum to one or have zeros; quotas above one": (
        "commands/test_bad_evidence.py::test_priors_that_are_none",
        "commands/test_bad_evidence.py::test_quotas_above_one",
        "decisions/recalibration/test_shares.py::test_a_file_that_gives_none_is_refused_by_its_row",
    ),
    "costs of mistakes with a missing, unknown or repeated class, or a cell that is none": (
        "commands/test_recalibrate_cost.py::test_costs_that_are_none",
    ),
    "groups without a column, a table or an id, or an id in two": (
        "commands/test_recalibrate_context.py::test_groups_that_cannot_be_used",
    ),
    "one-row test sets": ("commands/test_bad_evidence.py::test_a_test_set_of_one_row",),
    "a class to drop that does not exist, or all": (
        "bad_input/test_stages.py::test_classes_that_cannot_be_dropped",
        "training/test_stages.py::test_a_class_that_does_not_exist_cannot_be_dropped",
    ),
    "a part to freeze that does not exist": (
        "bad_input/test_stages.py::test_a_part_that_cannot_be_frozen",
    ),
    "gradients of one objective to balance": (
        "training/gradients/test_calibration.py::"
        "test_what_a_model_cannot_do_is_refused_before_torch_is_imported",
    ),
    "class weights with a missing or negative entry": (
        "bad_input/test_stages.py::test_class_weights_that_are_none",
        "losses/test_class_weights.py::test_a_mistake_in_weights_by_hand_is_named",
    ),
    "resuming with another stage's arguments": (
        "bad_input/test_stages.py::test_a_run_resumed_with_the_arguments_of_another_stage",
        "training/test_stages.py::test_another_stage_cannot_be_resumed_into",
    ),
    "per-class counts of zero": (
        "bad_input/test_stages.py::test_no_rows_per_class",
        "bad_input/test_stages.py::test_a_class_that_no_row_is_of",
    ),
    "cache folder full or read-only": (
        "bad_input/test_caches.py::"
        "test_images_that_cannot_be_kept_on_the_disk_are_kept_in_memory_and_it_is_told",
        "bad_input/test_caches.py::test_a_disk_that_was_asked_for_and_cannot_be_had_is_an_error",
    ),
    "cache folder corrupted": (
        "bad_input/test_caches.py::test_damaged_files_of_a_cache_are_made_anew",
    ),
    "cache folder from an older version": (
        "bad_input/test_caches.py::test_what_an_older_version_has_kept_is_not_read_and_makes_room",
    ),
    "cache folder being built by another process": (
        "bad_input/test_caches.py::"
        "test_a_process_that_is_killed_while_it_fills_a_cache_disturbs_no_other",
    ),
    "GPU with too little memory": (
        "bad_input/test_backends.py::"
        "test_a_prediction_that_does_not_fit_is_taken_in_parts_which_is_told",
        "bad_input/test_backends.py::test_a_prediction_of_which_not_even_an_image_fits",
        "bad_input/test_backends.py::"
        "test_a_training_that_does_not_fit_is_taken_in_parts_which_is_told",
        "bad_input/test_backends.py::test_a_training_of_which_not_even_the_smallest_part_fits",
    ),
    "images of mixed sizes and modes in one set": (
        "bad_input/test_accepted.py::"
        "test_images_of_every_size_and_mode_train_alike_decoded_once_or_in_every_epoch",
        "bad_input/test_accepted.py::"
        "test_images_of_every_size_and_mode_are_predicted_alike_by_every_backend",
    ),
    "ONNX export that the model does not support": (
        "bad_input/test_backends.py::"
        "test_a_network_that_cannot_be_exported_is_computed_by_torch_which_is_told",
        "bad_input/test_backends.py::test_a_graph_that_nothing_vouches_for_is_made_anew",
    ),
    "multi-label predictions where one class per image is wanted": (
        "bad_input/test_several_labels.py::"
        "test_one_class_per_image_is_decided_by_recalibrate_alone",
    ),
    "download that cannot be served": ("bad_input/test_downloads.py::*",),
    "image format that cannot be read": ("bad_input/test_formats.py::*",),
    "prediction file without a class": (
        "bad_input/test_predictions.py::test_a_lost_class_is_named_where_the_classes_are_known",
    ),
    "file that is not the one of its record": ("bad_input/test_verification.py::*",),
    "output that the same command made before": ("bad_input/test_already_done.py::*",),
    "metric that cannot be used": (
        "bad_input/test_metric_functions.py::*",
        "bad_input/test_metric_record.py::*",
    ),
    "output that is an input": (
        "bad_input/test_places.py::test_an_input_is_known_by_another_name",
        "bad_input/test_places.py::test_no_output_replaces_an_input",
    ),
}


@cache
def functions_of(path: str) -> set[str]:
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def cases_of(path: str) -> set[str]:
    return {name for name in functions_of(path) if name.startswith("test_")}


@pytest.mark.parametrize("entry", LIST)
def test_every_entry_of_the_list_has_its_tests(entry):
    for name in LIST[entry]:
        path, _, test = name.partition("::")
        assert test in functions_of(path) or test == EVERY, name


def test_every_test_of_the_matrix_is_in_the_list():
    listed = {
        f"{path}::{one}"
        for names in LIST.values()
        for name in names
        for path, _, test in [name.partition("::")]
        for one in (cases_of(path) if test == EVERY else [test])
    }
    # What belongs to no entry and is asked for all the same.
    beside = {
        "bad_input/test_checkpoints.py::test_links_in_a_circle_are_no_runs",
        "bad_input/test_classes.py::test_a_blank_label",
        "bad_input/test_classes.py::test_a_class_called_like_a_column_of_prediction_files",
        "bad_input/test_images.py::test_no_image_at_all",
        "bad_input/test_predictions.py::test_a_record_that_is_damaged",
        "bad_input/test_checkpoints.py::test_pretrained_weights_that_are_not_there",
        "bad_input/test_records.py::test_a_record_of_predictions",
        "bad_input/test_records.py::test_a_record_of_folds",
        "bad_input/test_records.py::test_a_record_of_out_of_fold_rows",
        "bad_input/test_records.py::test_a_record_of_a_practice_competition",
        "bad_input/test_records.py::test_a_record_of_a_run",
        "bad_input/test_records.py::test_a_file_of_weights",
        "bad_input/test_records.py::test_a_file_of_views",
    }
    found = {
        f"bad_input/{path.name}::{name}"
        for path in (TESTS / "bad_input").glob("test_*.py")
        for name in cases_of(f"bad_input/{path.name}")
    }
    assert found == {name for name in listed if name.startswith("bad_input/")} | beside
