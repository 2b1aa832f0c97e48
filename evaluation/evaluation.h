// Measuring an agent: tasks on repositories that nobody has seen, and judges that look at what the
// repository holds afterwards. This is the door.
//
// Tasks are made (make_task), on made-up repositories or on real code, or written by users
// (read_task_folders). Each made task is played
// by a teacher with the real tools, which is how its truth becomes known, and how a model can be
// trained on such tasks (docs/training.md).
#pragma once

#include "evaluation/check_script.h"
#include "evaluation/files.h"
#include "evaluation/golden_results.h"
#include "evaluation/interval.h"
#include "evaluation/judge.h"
#include "evaluation/made_task.h"
#include "evaluation/real_code.h"
#include "evaluation/stage.h"
#include "evaluation/task_folder.h"
#include "evaluation/tasks.h"
#include "evaluation/words.h"
#include "evaluation/workbench.h"
